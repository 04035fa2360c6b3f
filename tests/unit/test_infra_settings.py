"""A stack file that does not fit is refused in words that say how to mend it."""

from pathlib import Path
from typing import Any

import pytest

from infra import settings
from infra.errors import SettingsError

FITS = {"seatrial:cluster": {"context": "mine"}}


def refusal(config: dict[str, Any], stack: str = "dev") -> str:
    with pytest.raises(SettingsError) as refused:
        settings.validate(stack, {**FITS, **config})
    return str(refused.value)


def test_a_misspelt_section_names_the_nearest() -> None:
    said = refusal({"seatrial:trinoo": {}})
    assert said.splitlines() == [
        "stacks/Pulumi.dev.yaml is not valid:",
        "  trinoo: there is no such setting; did you mean 'trino'?",
    ]


def test_a_misspelt_setting_deep_in_the_tree_names_the_nearest() -> None:
    said = refusal({"seatrial:monitoring": {"prometheus": {"replica": 2}}})
    assert "monitoring.prometheus.replica: there is no such setting" in said
    assert "did you mean 'monitoring.prometheus.replicas'?" in said


def test_a_name_like_no_other_is_answered_with_all_that_are_known() -> None:
    said = refusal({"seatrial:monitoring": {"zzz": 1}})
    assert "monitoring.zzz: there is no such setting; known: alertmanager, dcgm, " in said


def test_a_wrong_value_is_shown() -> None:
    said = refusal({"seatrial:monitoring": {"prometheus": {"replicas": 0}}})
    assert "monitoring.prometheus.replicas: Input should be greater than or equal to 1 (got 0)" in said


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = refusal({"seatrial:trino": {"workers": -1}, "seatrial:protect": "perhaps"})
    assert "trino.workers" in said
    assert "protect" in said


def test_the_engines_text_form_means_the_same_as_the_stack_file() -> None:
    as_file = {**FITS, "seatrial:trino": {"workers": 2}, "seatrial:protect": False}
    from_engine = {
        "seatrial:cluster": '{"context":"mine"}',
        "seatrial:trino": '{"workers":2}',
        "seatrial:protect": "false",
        "pulumi:tags": '{"a":"b"}',
    }
    assert settings.validate("dev", as_file) == settings.validate("dev", from_engine)


def test_only_the_local_stack_may_take_whatever_cluster_kubectl_speaks_to() -> None:
    assert settings.validate("local", {}).cluster.context is None
    with pytest.raises(SettingsError, match=r"(?s)which cluster.*set cluster\.context"):
        settings.validate("prod", {})


def test_a_stack_file_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.one.yaml").write_text("config: {}")
    with pytest.raises(SettingsError, match="stacks: one"):
        settings.of_stack_file("two", tmp_path)


def test_secrets_of_a_stack_are_not_settings() -> None:
    """Settings are shown in errors, so nothing secret may be one of them."""
    names: set[str] = set()
    _names(settings.PlatformSettings.model_json_schema(), names)
    assert {name for name in names if "password" in name.lower() or "token" in name.lower()} == set()


def _names(node: Any, found: set[str]) -> None:
    if isinstance(node, dict):
        found.update(node.get("properties", {}))
        for value in node.values():
            _names(value, found)
    elif isinstance(node, list):
        for value in node:
            _names(value, found)
