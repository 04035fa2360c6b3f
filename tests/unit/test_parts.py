"""What is provisioned can be chosen: by name, remembered with the cluster, each part at its cost."""

import typing
from pathlib import Path

import pulumi
import pytest
import typer

from infra import alerts, parts, releases, settings
from infra.errors import SettingsError
from local.images import recipe
from seatrial import parts as chosen_parts

COMPONENTS = Path(parts.__file__).parent / "components"


def test_every_part_adds_components_that_there_are() -> None:
    assert set(parts.COMPONENTS) == set(typing.get_args(parts.Part)) == set(parts.ALL)
    there = {path.parent.name for path in COMPONENTS.glob("*/component.py")}
    for part, components in parts.COMPONENTS.items():
        assert components, part
        assert components <= there, part


def test_every_release_is_of_a_component_that_there_is() -> None:
    there = {path.parent.name for path in COMPONENTS.glob("*/component.py")}
    assert {release.component for release in releases.load().values()} <= there


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("core", ()),
        ("core,training", ("training",)),
        ("training, core", ("training",)),
        ("training", ("training",)),
        ("training,training", ("training",)),
        ("core,tuning,training", ("training", "tuning")),
        ("core,queueing", ("queueing",)),
        ("core,serving", ("serving",)),
    ],
)
def test_the_core_is_there_named_or_not(text: str, found: tuple[parts.Part, ...]) -> None:
    assert parts.parse(text) == found
    assert parts.parse(parts.text(found)) == found


@pytest.mark.parametrize("text", ["", "core,", "core,trainig"])
def test_an_unknown_part_is_answered_with_those_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"parts are: core, training"):
        parts.parse(text)
    with pytest.raises(typer.BadParameter, match=r"parts are: core, training"):
        chosen_parts.chosen(text)


def test_parts_are_added_to_those_that_are_chosen() -> None:
    assert chosen_parts.chosen("core,training", "serving,training") == ("training", "serving")
    assert chosen_parts.chosen(chosen_parts.USUAL, "serving") == parts.ALL
    with pytest.raises(typer.BadParameter) as refused:
        chosen_parts.chosen("core", "servin")
    assert refused.value.param_hint == "--with"


def test_nothing_that_only_another_part_needs_is_built_or_fetched() -> None:
    recipes = {recipe for _, recipe, _ in releases.local_images(())}
    assert "trino" in recipes
    assert not recipes & {
        "jobset",
        "trainer",
        "mpi-operator",
        "optuna-dashboard",
        "kueue",
        "envoy-gateway",
        "envoy",
        "kserve",
        "storage-initializer",
        "prometheus-adapter",
    }
    assert {name for name, *_ in releases.local_manifests(())} == {"prometheus-operator"}
    fetched = {name: paths for name, _, _, paths in releases.local_manifests()}
    assert fetched["jobset"] == ("charts/jobset",)


def test_what_is_not_there_is_not_missed() -> None:
    """An alert on something absent would fire for ever."""
    assert set(alerts.rules(parts.ALL)) - set(alerts.rules(())) == {
        "training",
        "tuning",
        "queueing",
        "certificates",
        "gateway",
        "serving",
        "scaling",
    }
    assert set(alerts.rules(("tuning",))) - set(alerts.rules(())) == {"tuning"}
    assert set(alerts.rules(())) - set(alerts.rules((), ["object_store"])) == {"object-store"}


def test_the_environment_speaks_for_the_local_stack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.PARTS_VARIABLE, "core")
    pulumi.runtime.set_all_config({"seatrial:cluster": '{"context": "mine"}'})
    assert settings.of_this_stack("local").parts == ()
    assert settings.of_this_stack("dev").parts == parts.ALL


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_environment_the_stack_file_speaks(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(settings.PARTS_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(settings.PARTS_VARIABLE, value)
    pulumi.runtime.set_all_config({})
    assert settings.of_this_stack("local").parts == parts.ALL
    pulumi.runtime.set_all_config({"seatrial:parts": "[]"})
    assert settings.of_this_stack("local").parts == ()


def test_a_wrong_environment_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.PARTS_VARIABLE, "core,training,sailing")
    pulumi.runtime.set_all_config({})
    with pytest.raises(SettingsError, match=r"(?s)SEATRIAL_PARTS is .*'sailing' \(parts are.*seatrial env"):
        settings.of_this_stack("local")


def test_the_choice_is_remembered_with_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert chosen_parts.variables("t-parts") == {}
    (tmp_path / "seatrial" / "clusters" / "t-parts").mkdir(parents=True)
    chosen_parts.remember("t-parts", ())
    assert chosen_parts.variables("t-parts") == {"SEATRIAL_PARTS": "core"}
    chosen_parts.remember("t-parts", parts.ALL)
    assert chosen_parts.variables("t-parts") == {"SEATRIAL_PARTS": "core,training,tuning,queueing,serving"}
    assert chosen_parts.variables("t-other") == {}


def test_every_part_says_what_it_costs() -> None:
    core, training, tuning, queueing, serving = chosen_parts.costs()
    assert (core.part, training.part, tuning.part) == ("core", "training", "tuning")
    assert (queueing.part, queueing.memory) == ("queueing", 128 * 2**20)
    assert queueing.seconds > 60
    assert core.seconds > training.seconds > 60
    assert core.megabytes > training.megabytes > 100
    images_of_workloads = [recipe.load(name) for name in ("horovod", "workloads-tensorflow-base")]
    assert training.seconds > sum(each.seconds for each in images_of_workloads)
    assert training.megabytes > sum(each.megabytes for each in images_of_workloads)
    local = settings.of_stack_file("local").training
    assert training.memory == sum(
        int(each.memory.removesuffix("Mi")) * 2**20
        for each in (local.jobset, local.trainer, local.mpi_operator)
    )
    assert 0 < tuning.seconds < 60
    assert tuning.megabytes > 100
    assert tuning.memory == 320 * 2**20
    assert (serving.part, serving.memory) == ("serving", (112 + 160 + 80 + 256 + 256 + 192 + 128) * 2**20)


def test_more_parts_need_more_room() -> None:
    core, every = chosen_parts.needs(()), chosen_parts.needs(parts.ALL)
    assert core == chosen_parts.CORE_NEEDS
    assert every.memory > core.memory
    assert every.disk > core.disk
