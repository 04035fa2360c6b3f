"""Upstream manifests: found, compared with their sum, read the same each time, no hook dropped in silence."""

import hashlib
import json
from pathlib import Path

import pytest

from infra import charts, patching, releases
from infra.components.monitoring import patches
from infra.errors import ReleaseError
from infra.settings_base import Resources

TEXT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: default}
data: {operators: "=", since: 2024-01-01}
---
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: two, namespace: default}
spec:
  template:
    spec:
      initContainers: [{name: a, image: "example.org/tool:1"}]
      containers: [{name: b, image: "example.org:5000/server:1@sha256:0", args: [=]}]
"""
PATCHES = [patching.use_images({"example.org/tool": "tool:2", "example.org:5000/server": "server:2"})]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEATRIAL_CHARTS", str(tmp_path))
    return tmp_path


def release(text: str = TEXT, **fields: object) -> releases.Release:
    manifests = {
        "module": "example.org/Upper/module",
        "files": {"all.yaml": hashlib.sha256(text.encode()).hexdigest()},
        "address": "http://127.0.0.1:9/{version}/{file}",
    }
    return releases.Release.model_validate(
        {"component": "x", "version": "1.0", "manifests": manifests, **fields}
    )


def put(folder: Path, text: str = TEXT) -> None:
    (folder / "thing-1.0").mkdir()
    (folder / "thing-1.0" / "all.yaml").write_text(text)


def test_reading_twice_gives_the_same_bytes_also_from_what_was_kept(folder: Path) -> None:
    put(folder)
    first, again = (json.dumps(charts.render("thing", release(), PATCHES)) for _ in range(2))
    [kept] = (folder / "rendered").iterdir()
    kept.unlink()
    anew = json.dumps(charts.render("thing", release(), PATCHES))
    assert first == again == anew


def test_values_that_only_yaml_1_1_finds_special_stay_text(folder: Path) -> None:
    put(folder)
    config_map, deployment = charts.render("thing", release(), PATCHES)
    assert config_map["data"] == {"operators": "=", "since": "2024-01-01"}
    assert deployment["spec"]["template"]["spec"]["containers"][0]["args"] == ["="]


def test_images_are_replaced_in_every_container(folder: Path) -> None:
    put(folder)
    pod = charts.render("thing", release(), PATCHES)[1]["spec"]["template"]["spec"]
    assert [pod["initContainers"][0]["image"], pod["containers"][0]["image"]] == ["tool:2", "server:2"]


def test_an_image_that_nobody_would_build_is_refused(folder: Path) -> None:
    put(folder)
    with pytest.raises(ReleaseError, match=r"server:1.*releases\.toml lacks"):
        charts.render("thing", release(), [patching.use_images({"example.org/tool": "tool:2"})])


def test_a_file_that_is_not_the_expected_one_is_refused(folder: Path) -> None:
    put(folder, TEXT + "# changed")
    with pytest.raises(ReleaseError, match=r"(?s)has SHA-256.*expects.*delete"):
        charts.render("thing", release())


def test_a_file_is_taken_from_gos_module_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMODCACHE", str(folder / "mod"))
    module = folder / "mod" / "example.org" / "!upper" / "module@v1.0"
    module.mkdir(parents=True)
    (module / "all.yaml").write_text(TEXT)
    assert len(charts.render("thing", release(), PATCHES)) == 2


def test_a_file_that_cannot_be_had_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMODCACHE", str(folder / "mod"))
    with pytest.raises(
        ReleaseError, match=r"(?s)127.0.0.1:9/1.0/all.yaml cannot be reached.*SEATRIAL_CHARTS"
    ):
        charts.render("thing", release())


def test_a_helm_hook_is_never_dropped_in_silence(folder: Path) -> None:
    text = "{apiVersion: v1, kind: Job, metadata: {name: h, annotations: {helm.sh/hook: post-install}}}"
    put(folder, text)
    with pytest.raises(ReleaseError, match=r"Job h is a Helm hook \(post-install\)"):
        charts.render("thing", release(text))
    without_hooks = [lambda objects: [each for each in objects if each["kind"] != "Job"]]
    assert charts.render("thing", release(text), without_hooks) == []


def test_a_definition_counts_as_made_when_it_is_served(folder: Path) -> None:
    text = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}}"
    put(folder, text)
    [definition] = charts.render("thing", release(text))
    assert definition["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Established"}


@pytest.mark.parametrize(
    "patch",
    [
        patches.leave_out_unused_kinds,
        patching.into_namespace("default", "elsewhere"),
        patches.reload_with("quay.io/reloader:1"),
        patching.with_resources(Resources(memory="1Mi")),
    ],
)
def test_a_patch_that_finds_nothing_to_change_fails(patch: patching.Patch) -> None:
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch([])


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a/b:1", "a/b"),
        ("host:5000/a/b", "host:5000/a/b"),
        ("host:5000/a/b:1@sha256:0", "host:5000/a/b"),
        ("busybox:1", "busybox"),
    ],
)
def test_the_name_of_an_image_is_without_tag_and_digest(image: str, name: str) -> None:
    assert patching.repository(image) == name


def test_a_digest_belongs_to_one_version() -> None:
    fields = {
        "component": "x",
        "version": "1",
        "images": {"a/b:{version}": "b"},
        "digests": {"a/b:1": "sha256:0"},
    }
    pinned = releases.Releases("pinned", {"x": releases.Release.model_validate(fields)})
    assert pinned.image("b") == "a/b:1@sha256:0"
    newer = releases.Releases("pinned", {"x": releases.Release.model_validate({**fields, "version": "2"})})
    with pytest.raises(releases.UnpinnedImage, match="a/b:2"):
        newer.image("b")


def test_a_misspelt_field_of_a_release_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "releases.toml"
    file.write_text('[x]\ncomponent = "x"\nversoin = "1"\n')
    with pytest.raises(ReleaseError, match="did you mean 'version'"):
        releases.load(file)
