"""Charts: found, compared with their sum, rendered once, the same from the source as from the package."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from infra import charts, helm, releases
from infra.errors import ReleaseError
from tests.unit.infra_stacks import lacks_upstream

FILES = {
    "templates/deployment.yaml": "kind: Deployment\nmetadata: {name: a}\n",
    "crds/kind.yaml": "kind: CustomResourceDefinition\nmetadata: {name: kinds.example.org}\n",
    "values.yaml": "size: 1\nimage: {tag: main}\n",
    "Chart.yaml": "apiVersion: v2\nname: thing\nversion: 0.0.1\ndependencies: [{name: other}]\n",
}
SUM = helm.checksum({name: text.encode() for name, text in sorted(FILES.items()) if name != "Chart.yaml"})
"""In the order in which a chart is read: crds, templates, values."""

STAND_IN = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
template)
  [ -f "$3/Chart.yaml" ] && cp -r "$3" {seen} && cp "${{10}}" {seen}/given.yaml
  echo 'kind: Deployment'; echo 'metadata: {{name: a}}'; echo ---
  echo 'kind: ClusterRole'; echo 'metadata: {{name: b}}' ;;
pull)
  [ -d {published} ] || {{ echo 'no such host' >&2; exit 1; }}
  cp -r {published} "$7/thing" ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where charts are kept, with a stand-in for helm on PATH that notes what it was asked and given."""
    binary = tmp_path / "bin" / "helm"
    binary.parent.mkdir()
    text = STAND_IN.format(log=tmp_path / "asked", seen=tmp_path / "seen", published=tmp_path / "published")
    binary.write_text(text)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "mod"))
    monkeypatch.setenv("SEATRIAL_CHARTS", str(tmp_path / "charts"))
    return tmp_path


def put(place: Path, **changed: str) -> None:
    for name, text in {**FILES, **changed}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


def kept(folder: Path, **changed: str) -> None:
    put(folder / "charts" / "thing-1.0" / "charts" / "thing", **changed)


def release(**chart: str) -> releases.Release:
    fields = {
        "module": "example.org/Upper",
        "path": "charts/thing",
        "sha256": SUM,
        "address": "oci://example.org/charts/thing:v{version}",
    }
    return releases.Release.model_validate({"component": "x", "version": "1.0", "chart": {**fields, **chart}})


def rendered(**values: object) -> str:
    return json.dumps(charts.render("thing", release(), values=values, namespace="here"))


def asked(folder: Path) -> list[str]:
    log = folder / "asked"
    return log.read_text().splitlines() if log.exists() else []


def test_a_second_run_does_not_ask_helm_and_gives_the_same_bytes(folder: Path) -> None:
    kept(folder)
    first = rendered()
    assert rendered() == first
    assert len(asked(folder)) == 1
    shutil.rmtree(folder / "charts" / "rendered")
    assert rendered() == first


def test_other_values_another_namespace_or_another_helm_are_rendered_anew(folder: Path) -> None:
    kept(folder)
    rendered()
    rendered(size=2)
    charts.render("thing", release(), namespace="elsewhere")
    with (folder / "bin" / "helm").open("a") as binary:
        binary.write("# newer\n")
    rendered()
    assert len(asked(folder)) == 4


def test_helm_is_told_the_version_the_namespace_and_the_values(folder: Path) -> None:
    kept(folder)
    rendered(size=7)
    assert asked(folder)[0].startswith("template thing ")
    assert f"--include-crds --kube-version {helm.KUBERNETES} --namespace here --values" in asked(folder)[0]
    assert json.loads((folder / "seen" / "given.yaml").read_text()) == {"size": 7}


def test_a_chart_is_rendered_without_what_its_sum_does_not_cover(folder: Path) -> None:
    """Its dependencies are releases of their own, and packaging writes another version into Chart.yaml."""
    kept(folder, **{"charts/other/Chart.yaml": "name: other", "docs/more.txt": "more"})
    rendered()
    about = yaml.safe_load((folder / "seen" / "Chart.yaml").read_text())
    assert about == {"apiVersion": "v2", "name": "thing", "version": "1.0"}
    seen = {path.name for path in (folder / "seen").iterdir()}
    assert seen == {"Chart.yaml", "crds", "templates", "values.yaml", "given.yaml"}


@pytest.mark.parametrize("file", ["templates/deployment.yaml", "crds/kind.yaml", "files/more.yaml"])
def test_a_chart_that_is_not_the_expected_one_is_refused(folder: Path, file: str) -> None:
    kept(folder, **{file: "kind: Other\n"})
    with pytest.raises(ReleaseError, match=r"(?s)thing: charts/thing has SHA-256.*expects.*delete"):
        rendered()


def test_values_count_but_for_the_image_that_packaging_writes(folder: Path) -> None:
    kept(folder, **{"values.yaml": "image:\n  tag: v1.0\n\nsize: 1\n"})
    rendered()
    kept(folder, **{"values.yaml": "size: 2\nimage: {tag: main}\n"})
    with pytest.raises(ReleaseError, match="has SHA-256"):
        rendered()


def test_a_chart_is_taken_from_gos_module_cache(folder: Path) -> None:
    put(folder / "mod" / "example.org" / "!upper@v1.0" / "charts" / "thing")
    rendered()
    assert [line.split()[0] for line in asked(folder)] == ["template"]


def test_a_chart_is_pulled_where_it_is_nowhere_and_kept(folder: Path) -> None:
    put(folder / "published")
    rendered()
    rendered(size=2)
    pulled = [line for line in asked(folder) if line.startswith("pull")]
    assert [line.split()[:4] for line in pulled] == [
        ["pull", "oci://example.org/charts/thing", "--version", "v1.0"]
    ]


def test_a_file_that_is_kept_where_a_chart_would_be_is_not_taken_for_it(folder: Path) -> None:
    """Of one module come charts and single files, and both are kept under the release's name."""
    single = folder / "charts" / "thing-1.0" / "charts" / "thing" / "charts" / "kinds" / "kind.yaml"
    single.parent.mkdir(parents=True)
    single.write_text("kind: CustomResourceDefinition\n")
    put(folder / "published")
    rendered()
    rendered(size=2)
    assert [line.split()[0] for line in asked(folder)].count("pull") == 1
    assert single.is_file()


def test_a_chart_that_cannot_be_had_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(ReleaseError, match=r"(?s)could not pull .* v1.0: no such host.*SEATRIAL_CHARTS"):
        rendered()
    assert list((folder / "charts" / "thing-1.0" / "charts").iterdir()) == []


def test_a_machine_without_helm_is_told_how_to_get_it(folder: Path) -> None:
    kept(folder)
    rendered()
    (folder / "bin" / "helm").unlink()
    with pytest.raises(ReleaseError, match=r"(?s)no helm on PATH.*seatrial env.*install helm"):
        rendered()


def test_what_helm_refuses_is_passed_on(folder: Path) -> None:
    kept(folder)
    (folder / "bin" / "helm").write_text("#!/bin/sh\necho 'template: bad' >&2\nexit 1\n")
    with pytest.raises(ReleaseError, match="could not render it: template: bad"):
        rendered()
    assert not (folder / "charts" / "rendered").exists()


def test_what_names_no_namespace_goes_where_helm_would_put_it(folder: Path) -> None:
    kept(folder)
    deployment, role = json.loads(rendered())
    assert deployment["metadata"]["namespace"] == "here"
    assert "namespace" not in role["metadata"]


@pytest.mark.parametrize("name", ["jobset", "trainer"])
def test_a_real_chart_is_rendered_by_the_real_helm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the copy that the tests have; without what was rendered before, twice, to the same bytes."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    found = releases.load()[name]
    assert found.chart
    copy = tmp_path / f"{name}-{found.version}" / found.chart.path
    shutil.copytree(helm._find(name, found, found.chart), copy)
    monkeypatch.setenv("SEATRIAL_CHARTS", str(tmp_path))
    first = charts.render(name, found, namespace="here")
    shutil.rmtree(tmp_path / "rendered")
    assert charts.render(name, found, namespace="here") == first
    labels = {each["metadata"].get("labels", {}).get("helm.sh/chart") for each in first}
    assert labels - {None} == {f"{found.chart.name}-{found.version}"}
    assert {each["metadata"]["namespace"] for each in first if each["kind"] == "Service"} == {"here"}


def test_what_packaging_fills_in_is_the_same_chart(folder: Path) -> None:
    """Some charts have their values only as a template until they are packaged."""
    filled = "size: 1\nmain:\n  image: m:1\n  pullPolicy: IfNotPresent\n"
    source, package = folder / "source", folder / "package"
    put(package, **{"values.yaml": filled})
    template = filled.replace("m:1", "${Image}").replace("IfNotPresent", "${Policy}")
    put(source, **{"values.tmpl.yaml": template})
    (source / "values.yaml").unlink()
    assert helm.checksum(helm._read(source)) == helm.checksum(helm._read(package))
    put(package, **{"values.yaml": filled.replace("size: 1", "size: 2")})
    assert helm.checksum(helm._read(source)) != helm.checksum(helm._read(package))
