"""Helm charts as objects: found, compared with their sum, rendered by `helm template`, kept.

What counts of a chart is `templates/`, `crds/`, `files/` and `values.yaml`. Its Chart.yaml is written anew,
because packaging rewrites it, and without dependencies: what a chart depends on is a release of its own here.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra import upstream
from infra.errors import ReleaseError
from infra.releases import Chart, Release
from infra.upstream import Manifest

KUBERNETES = "1.36.3"
"""The version that charts are rendered for, in every stack: what helm was built with does not matter."""

_FOLDERS = ("crds", "files", "templates")
_VALUES = "values.yaml"
_UNPACKAGED_VALUES = "values.tmpl.yaml"
"""What some charts have instead until packaging fills in the image."""
_PACKAGED = frozenset({"image", "pullPolicy"})
"""Values that packaging writes."""

_CLUSTER_WIDE = frozenset({
    "ClusterRole", "ClusterRoleBinding", "ClusterStorageContainer", "CustomResourceDefinition",
    "MutatingWebhookConfiguration", "Namespace", "PriorityClass", "ValidatingWebhookConfiguration",
})  # fmt: skip
"""Kinds without a namespace, as far as charts that are used here have them."""

Content = Mapping[str, bytes]
"""Path in the chart → content of the file, in the order of the paths."""


def objects(
    name: str, release: Release, chart: Chart, values: Mapping[str, Any], namespace: str
) -> list[Manifest]:
    """The objects that `helm install` would make in `namespace`; definitions first, hooks among the rest.

    Raises:
        ReleaseError: the chart cannot be had, is not the expected one, or helm is missing or refuses it.
    """
    place = _find(name, release, chart)
    content = _read(place)
    found = checksum(content)
    if found != chart.sha256:
        raise ReleaseError(
            f"{name}: {chart.path} has SHA-256 {found}, infra/releases.toml expects {chart.sha256}\n"
            f"  what to do: delete {place}, or write the new sum where the version was changed on purpose"
        )
    program = _program(name).stat()
    goes_in: list[Any] = [found, chart.name, release.version, KUBERNETES, namespace, values]
    # The program's file instead of its version, which only the program could tell.
    goes_in += [program.st_size, program.st_mtime_ns]
    key = hashlib.sha256(json.dumps(goes_in, sort_keys=True).encode()).hexdigest()
    made = upstream.objects(key, lambda: _template(name, release, chart, content, values, namespace))
    return [_placed(each, namespace) for each in made]


def checksum(content: Content) -> str:
    """SHA-256 of what counts; of values without each image, which packaging writes and we always set."""
    digest = hashlib.sha256()
    for path, data in content.items():
        if path == _VALUES:
            values = yaml.load(data, Loader=upstream.Loader) or {}
            data = json.dumps({**_without_images(values), "image": None}, sort_keys=True).encode()
        digest.update(f"{path} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _without_images(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: None if key in _PACKAGED else _without_images(value) for key, value in node.items()}


def _read(place: Path) -> Content:
    files = [file for folder in _FOLDERS for file in sorted((place / folder).rglob("*")) if file.is_file()]
    content = {str(file.relative_to(place)): file.read_bytes() for file in files}
    values = place / _VALUES
    if not values.is_file():
        values = place / _UNPACKAGED_VALUES
    return {**content, _VALUES: values.read_bytes()}


def _find(name: str, release: Release, chart: Chart) -> Path:
    kept = upstream.folder() / f"{name}-{release.version}" / chart.path
    for candidate in (kept, upstream.module_folder(chart.module, release.version) / chart.path):
        if candidate.is_dir():
            return candidate
    _pull(name, release, chart, kept)
    return kept


def _pull(name: str, release: Release, chart: Chart, target: Path) -> None:
    address, _, version = chart.address.format(version=release.version).rpartition(":")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        done = _run(name, "pull", address, "--version", version, "--untar", "--untardir", folder)
        if done.returncode != 0:
            raise ReleaseError(
                f"{name} {release.version}: the chart {chart.path} is neither in {target.parent} nor in Go's "
                f"module cache, and helm could not pull {address} {version}: {done.stderr.strip()}\n"
                "  what to do: `seatrial up` puts it there for the local stack; else set SEATRIAL_CHARTS"
            )
        (Path(folder) / chart.name).replace(target)


def _template(
    name: str, release: Release, chart: Chart, content: Content, values: Mapping[str, Any], namespace: str
) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / chart.name
        for path, data in content.items():
            upstream.write(place / path, data)
        about = {"apiVersion": "v2", "name": chart.name, "version": release.version}
        upstream.write(place / "Chart.yaml", json.dumps(about).encode())
        given = Path(folder) / "given.yaml"
        upstream.write(given, json.dumps(values).encode())
        command = ["template", chart.name, str(place), "--include-crds", "--kube-version", KUBERNETES]
        done = _run(name, *command, "--namespace", namespace, "--values", str(given))
    if done.returncode != 0:
        raise ReleaseError(f"{name} {release.version}: helm could not render it: {done.stderr.strip()}")
    return done.stdout.encode()


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_program(name), *arguments], capture_output=True, text=True, check=False)


def _program(name: str) -> Path:
    found = shutil.which("helm")
    if found is None:
        raise ReleaseError(
            f"{name} is a Helm chart, and there is no helm on PATH\n"
            '  what to do: eval "$(seatrial env)" for the local stack, which builds it; else install helm 3'
        )
    return Path(found)


def _placed(each: Manifest, namespace: str) -> Manifest:
    """Helm sends what names no namespace to the one that it installs into; Pulumi would take `default`."""
    if each["kind"] not in _CLUSTER_WIDE:
        each["metadata"].setdefault("namespace", namespace)
    return each
