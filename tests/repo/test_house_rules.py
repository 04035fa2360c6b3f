"""House rules that a reader should not have to enforce by eye."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = ("infra", "local", "client", "workloads", "proofs", "benchmarks", "react", "seatrial")

MAY_IMPORT = {
    "infra": set(),
    "local": set(),
    "workloads": set(),
    "client": {"infra.outputs"},
    "proofs": {"client", "workloads"},
    "benchmarks": {"client", "workloads"},
    "react": {"client", "workloads"},
    "seatrial": set(PACKAGES),
}
"""What each package may import of ours, besides itself."""

CODE_HOSTS = {"github.com", "raw.githubusercontent.com", "gitlab.com", "codeberg.org", "bitbucket.org"}
"""A machine may install packages from there too; their names are everywhere."""

LINES_A_FUNCTION = 80
LINES_A_STACK_FILE = 60


def tracked(*patterns: str) -> list[Path]:
    """The files that git tracks, or would if they were added now."""
    out = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


def text_files() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def allowed(importer: str, imported: str) -> bool:
    return any(
        imported == name or imported.startswith(f"{name}.") for name in MAY_IMPORT[importer] | {importer}
    )


def test_packages_import_only_downwards() -> None:
    wrong = []
    for package in PACKAGES:
        for path in tracked(f"{package}/**.py", f"{package}/*.py"):
            wrong += [
                f"{path.relative_to(ROOT)}:{line} imports {name}"
                for line, name in imports(path)
                if name.split(".")[0] in PACKAGES and not allowed(package, name)
            ]
    assert not wrong


def test_components_never_import_each_other() -> None:
    wrong = []
    for path in tracked("infra/components/**.py"):
        own = f"infra.components.{path.relative_to(ROOT / 'infra/components').parts[0]}"
        wrong += [
            f"{path.relative_to(ROOT)}:{line} imports {name}"
            for line, name in imports(path)
            if name.startswith("infra.components.") and not name.startswith(f"{own}.") and name != own
        ]
    assert not wrong


def test_functions_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in tracked("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LINES_A_FUNCTION
    ]
    assert not long


def test_stack_files_hold_only_differences() -> None:
    stacks = tracked("stacks/Pulumi.*.yaml")
    assert stacks, "there are no stack files"
    assert [path.name for path in stacks if len(path.read_text().splitlines()) > LINES_A_STACK_FILE] == []


@pytest.mark.parametrize("file", tracked("stacks/*.yaml"), ids=lambda file: file.name)
def test_stack_files_say_nothing_twice(file: Path) -> None:
    """YAML lets the last of two equal keys win, without a word."""
    for node in nodes(yaml.compose(file.read_text())):
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys


def nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node of a YAML document and all below it."""
    yield node
    if isinstance(node, yaml.CollectionNode):
        for each in node.value:
            for below in each if isinstance(each, tuple) else (each,):
                yield from nodes(below)


def test_no_image_has_a_floating_tag() -> None:
    floating = re.compile(r"[\w./-]+:(latest|main|master|edge|nightly)(?![\w.-])")
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in text_files()
        if path.suffix in {".py", ".toml", ".yaml", ".json"} or path.name == "Containerfile"
        for match in floating.finditer(text)
        if path != Path(__file__) and "/" in match.group()
    ]
    assert not wrong


def test_files_name_no_package_registry() -> None:
    hosts = registry_hosts()
    pattern = re.compile("|".join(re.escape(host) for host in hosts))
    wrong = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path, text in text_files()
        if (hit := pattern.search(text))
    ]
    assert not wrong


def registry_hosts() -> set[str]:
    """The registries that this machine's package clients use, asked of the clients: none is written here."""
    from pip._internal.models.index import PyPI

    hosts = {PyPI.netloc, PyPI.file_storage_domain, *hosts_in(pip_settings())}
    if shutil.which("go"):
        proxies = subprocess.run(
            ["go", "env", "GOPROXY", "GOSUMDB"], capture_output=True, text=True, check=True
        )
        hosts |= {
            urlsplit(word).netloc or word for word in re.split(r"[,|\s]", proxies.stdout) if "." in word
        }
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if source.is_file():
            hosts |= hosts_in(source.read_text())
    return {host for host in hosts if "." in host} - CODE_HOSTS


def pip_settings() -> str:
    """The lines of pip's settings (files and environment) that name an index."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    named = {
        key: value for key, value in os.environ.items() if key in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    }
    lines = [line for line in listed.stdout.splitlines() if "index-url" in line.partition("=")[0]]
    return "\n".join([*lines, *named.values()])


def hosts_in(text: str) -> set[str]:
    return {urlsplit(url).hostname or "" for url in re.findall(r"https?://[^\s'\"\\]+", text)}


def test_files_name_no_path_of_a_machine() -> None:
    home = re.compile(r"(?<![\w.$}])/(root|home/\w+|work)/")
    assert [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path, text in text_files()
        if path != Path(__file__) and path.suffix != ".go" and (hit := home.search(text))
    ] == []


def test_no_large_or_binary_file_is_tracked() -> None:
    text = {path for path, _ in text_files()}
    assert [str(path.relative_to(ROOT)) for path in tracked() if path not in text] == []
    assert [str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > 1 << 20] == []


def test_every_file_under_tests_is_collected() -> None:
    """A file with tests that pytest does not look at is worse than none."""
    stray = [
        str(path.relative_to(ROOT))
        for path in tracked("tests/**.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.walk(ast.parse(path.read_text()))
        )
        and not path.name.startswith("test_")
    ]
    assert not stray


def test_every_test_file_has_a_test() -> None:
    empty = [
        str(path.relative_to(ROOT))
        for path in tracked("tests/**/test_*.py")
        if not re.search(r"^\s*(async )?def test_", path.read_text(), re.MULTILINE)
    ]
    assert not empty


def test_every_requirement_has_a_hash() -> None:
    for path in tracked("*requirements*/*.txt", "*requirements*.txt"):
        unhashed = [
            line
            for line in path.read_text().replace("\\\n", " ").splitlines()
            if "==" in line and "--hash=sha256:" not in line
        ]
        assert not unhashed, f"{path.relative_to(ROOT)}: {unhashed}"


@pytest.mark.parametrize("folder", ["infra/components", "workloads"])
def test_every_room_has_a_readme(folder: str) -> None:
    rooms = {path.parent for path in tracked(f"{folder}/*/*.py")}
    assert [str(room.relative_to(ROOT)) for room in sorted(rooms) if not (room / "README.md").is_file()] == []


def test_every_benchmark_has_metrics_a_parser_test_and_expectations() -> None:
    from benchmarks import benchmark, expectations

    modules = {path.stem for path in tracked("benchmarks/suite/[a-z]*.py")}
    found = benchmark.discover()
    assert {entry.name for entry in found} == modules
    assert modules
    tests = "".join(path.read_text() for path in tracked("tests/unit/test_bench*.py"))
    for entry in found:
        assert entry.metrics, f"{entry.name} has no metrics"
        assert all(metric.about.endswith(".") for metric in entry.metrics), f"{entry.name}: say what each is"
        assert entry.needs, f"{entry.name} does not say which part of the platform it needs"
        assert set(entry.needs) <= set(benchmark.NEEDS), entry.name
        assert f"{entry.name}.read(" in tests, f"no test reads what {entry.name} printed"
        assert (ROOT / f"tests/unit/data/benchmarks/{entry.name}.log").is_file(), (
            f"{entry.name}: no recording"
        )
        expected = {limit.metric for limit in expectations.read(entry.name).metrics}
        gates = {key for metric in entry.metrics if metric.role == "gate" for key in metric.keys}
        assert gates <= expected, f"nothing is expected of {gates - expected}"
        assert expected <= set(entry.keys), f"{entry.name} has no {expected - set(entry.keys)}"
    assert {path.stem for path in tracked("benchmarks/expectations/*.yaml")} == modules


def test_measuring_programs_import_only_workloads() -> None:
    """They run in pods of an image that has nothing else of ours."""
    programs = tracked("benchmarks/programs/*.py")
    assert programs
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in programs
        for line, name in imports(path)
        if name.split(".")[0] in PACKAGES and name.split(".")[0] != "workloads"
    ]
    assert not wrong


def test_measuring_and_judging_do_not_know_each_other() -> None:
    """Of `benchmarks`, what measures never sees a limit, and what judges never sees a platform."""
    measures = tracked(
        "benchmarks/run.py",
        "benchmarks/record.py",
        "benchmarks/pods.py",
        "benchmarks/all_reduce.py",
        "benchmarks/suite/*.py",
    )
    judges = tracked("benchmarks/check.py", "benchmarks/expectations.py", "benchmarks/report.py")
    assert len(judges) == 3
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for files, unwanted in (
            (measures, ("benchmarks.check", "benchmarks.expectations")),
            (judges, ("benchmarks.run", "benchmarks.record", "benchmarks.pods", "client", "workloads")),
        )
        for path in files
        for line, name in imports(path)
        if any(name == word or name.startswith(f"{word}.") for word in unwanted)
    ]
    assert not wrong


SHOWN_ON_PAGE_OF = {"certificates": "gateway", "scaling": "serving"}
"""Components whose panels read better among another's, and whose they are."""


def test_every_component_that_is_watched_is_shown() -> None:
    watched = {path.parent.name for path in tracked("infra/components/*/alerts.yaml")}
    shown = {path.parent.name for path in tracked("infra/components/*/dashboard.json")}
    assert shown == watched - set(SHOWN_ON_PAGE_OF)
    assert set(SHOWN_ON_PAGE_OF.values()) <= shown


def test_every_alert_has_a_runbook() -> None:
    files = tracked("infra/components/*/alerts.yaml", "workloads/*/alerts.yaml")
    for path in files:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert (ROOT / "docs/runbooks" / f"{rule['alert']}.md").is_file(), json.dumps(rule)


def test_every_file_of_alerts_has_its_tests_beside_it() -> None:
    files = tracked("infra/components/*/alerts.yaml", "workloads/*/alerts.yaml")
    assert {file.parents[1].name for file in files} == {"components", "workloads"}
    lacking = [file.parent.name for file in files if not file.with_name("alerts_test.yaml").is_file()]
    assert not lacking
