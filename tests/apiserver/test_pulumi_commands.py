"""Plain `pulumi` commands in the shell that `seatrial env` prepares: real engine, both stand-ins."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from local import engine, toolchain
from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
PROJECT = "name: seatrial\nruntime: python\nmain: program/__main__.py\nstackConfigDir: stacks\n"
PROGRAM = """
import pulumi
from infra import kube
from infra.secrets import GeneratedSecret

config = pulumi.Config()
namespace = config.require("namespace")
cluster = kube.Cluster("cluster", {"upsertExistingObjects": True})
here = pulumi.ResourceOptions(provider=cluster)
secret = GeneratedSecret(kube.metadata("secret", namespace), random=("password",), opts=here)
after = pulumi.ResourceOptions(provider=cluster, depends_on=[secret])
for number in range(config.get_int("count", 1)):
    data = {"word": config.get("word", "ahoy")}
    metadata = kube.metadata(f"map-{number}", namespace)
    kube.Object({**kube.object_of("v1", "ConfigMap", metadata), "data": data}, after)
if config.get_bool("misspelt"):
    raise pulumi.RunError("stacks/Pulumi.trial.yaml is not valid")
pulumi.export("password", secret.value("password"))
pulumi.export("namespace", namespace)
"""


class Shell:
    """A project in a folder of its own, and the environment that `seatrial env` would print."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = os.environ | variables

    def command(self, line: str) -> list[str]:
        return ["pulumi", *line.split(), "--non-interactive", "--color", "never"]

    def start(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(line), cwd=self.folder, env=self.variables, text=True, stdout=-1, stderr=-2
        )

    def fail(self, line: str) -> str:
        done = subprocess.run(
            self.command(line), cwd=self.folder, env=self.variables, text=True, capture_output=True
        )
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def run(self, line: str) -> str:
        done = subprocess.run(
            self.command(line), cwd=self.folder, env=self.variables, text=True, capture_output=True
        )
        assert done.returncode == 0, f"pulumi {line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout

    def up(self, *options: str) -> str:
        return self.run(f"up --stack trial --yes --skip-preview {' '.join(options)}")


@pytest.fixture
def shell(tmp_path: Path, plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    tools = toolchain.ensure(["pulumi"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    variables = engine.environment("t-commands", ROOT, tools)
    variables |= {"KUBECONFIG": str(plane.kubeconfig), "PULUMI_CONFIG_PASSPHRASE": "trial"}
    for folder in ("program", "stacks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "program" / "__main__.py").write_text(PROGRAM)
    engine.init_stack("trial", tmp_path, variables)
    made = Shell(tmp_path, variables)
    made.run(f"config set --stack trial namespace {namespace}")
    return made


def maps(cluster: Cluster, namespace: str) -> list[str]:
    items = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    return sorted(each["metadata"]["name"] for each in items if each["metadata"]["name"].startswith("map-"))


def password(cluster: Cluster, namespace: str) -> str:
    data: dict[str, str] = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/secret")["data"]
    return data["password"]


def test_the_ordinary_life_of_a_stack(shell: Shell, cluster: Cluster, namespace: str) -> None:
    shell.run("config set --stack trial count 2")
    assert "+ 5 to create" in shell.run("preview --stack trial")
    assert maps(cluster, namespace) == []
    assert "+ 5 created" in shell.up()
    assert maps(cluster, namespace) == ["map-0", "map-1"]
    assert shell.run("stack output --stack trial namespace").strip() == namespace
    assert "[secret]" in shell.run("stack output --stack trial password")
    kept = password(cluster, namespace)
    assert "5 unchanged" in shell.up("--expect-no-changes")
    assert "5 unchanged" in shell.run("refresh --stack trial --yes --skip-preview")
    shell.run("config set --stack trial count 1")
    assert "1 deleted" in shell.up()
    assert password(cluster, namespace) == kept
    shell.run("destroy --stack trial --yes --skip-preview")
    assert maps(cluster, namespace) == []


def test_an_object_that_is_there_is_imported(shell: Shell, cluster: Cluster, namespace: str) -> None:
    shell.up()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.create(path, {"metadata": {"name": "older"}, "data": {"a": "b"}})
    what = f"kubernetes:core/v1:ConfigMap older {namespace}/older --provider cluster={_urn(shell)}"
    shell.run(f"import {what} --stack trial --yes --skip-preview --generate-code=false")
    state = json.loads(shell.run("stack export --stack trial"))
    assert any(each["urn"].endswith("::older") for each in state["deployment"]["resources"])


def _urn(shell: Shell) -> str:
    state = json.loads(shell.run("stack export --stack trial"))
    urns: list[str] = [each["urn"] for each in state["deployment"]["resources"]]
    return next(urn for urn in urns if "pulumi:providers:kubernetes" in urn)


def test_a_mistake_of_the_user_is_said_without_a_traceback(shell: Shell) -> None:
    shell.run("config set --stack trial misspelt true")
    said = shell.fail("up --stack trial --yes --skip-preview")
    assert "error: stacks/Pulumi.trial.yaml is not valid" in said
    assert "Traceback" not in said
    assert "ended with status" not in said


def test_after_a_kill_the_next_run_completes_what_was_begun(
    shell: Shell, cluster: Cluster, namespace: str
) -> None:
    """The engine dies while it makes objects: some are in the cluster and not in its state."""
    shell.run("config set --stack trial count 60")
    running = shell.start("up --stack trial --yes --skip-preview")
    cluster.eventually("the first objects", lambda: len(maps(cluster, namespace)) >= 3)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    kept = password(cluster, namespace)
    assert 3 <= len(maps(cluster, namespace)) < 60
    refused = shell.fail("up --stack trial --yes --skip-preview")
    assert "is currently locked" in refused or "failed to load checkpoint" in refused
    engine.init_stack("trial", shell.folder, shell.variables)
    assert "pending operations" not in shell.up()
    assert len(maps(cluster, namespace)) == 60
    assert password(cluster, namespace) == kept
    assert "63 unchanged" in shell.up("--expect-no-changes")


@pytest.mark.parametrize("emptied", ["trial.json", "trial.json.attrs"])
def test_a_checkpoint_that_a_kill_left_empty_is_restored(
    shell: Shell, cluster: Cluster, namespace: str, emptied: str
) -> None:
    shell.run("config set --stack trial count 3")
    shell.up()
    kept = password(cluster, namespace)
    (torn,) = shell.folder.rglob(f"stacks/seatrial/{emptied}")
    torn.write_bytes(b"")
    assert "failed to load checkpoint" in shell.fail("up --stack trial --yes --skip-preview")
    engine.init_stack("trial", shell.folder, shell.variables)
    shell.up()
    assert len(maps(cluster, namespace)) == 3
    assert password(cluster, namespace) == kept
    assert "6 unchanged" in shell.up("--expect-no-changes")
