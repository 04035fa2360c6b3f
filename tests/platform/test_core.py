"""The core platform as a person brings it up: real cluster, real pulumi, real data."""

import os
import shlex
import subprocess

from tests.commandline import ROOT, Platform


def test_the_first_up_creates_the_platform(platform: Platform) -> None:
    assert {"StatefulSet platform-data/postgresql", "Deployment platform-ml/mlflow"} <= {
        entry["name"] for entry in platform.reported("provisioning")
    }


def test_every_proof_passes(platform: Platform) -> None:
    results = platform.reported("proofs")
    core = {"platform", "data", "monitoring"}
    others = {"training", "tuning", "serving", "rollout", "experiments", "feedback", "reaction", "drift"}
    assert {result["subject"] for result in results} == core | others
    skipped = [result for result in results if " is not provisioned (seatrial up" in result["cause"]]
    assert {result["subject"] for result in skipped} == others
    tried = [result for result in results if result not in skipped]
    assert [result for result in tried if result["result"] != "passed" or result["assertions"] == 0] == []


def git_status() -> str:
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_a_second_up_changes_nothing_here_or_there(platform: Platform) -> None:
    before = git_status()
    assert "nothing was changed" in platform.ok("up", "--no-prove", "--parts", "core")
    assert git_status() == before


def test_plain_pulumi_agrees_in_the_prepared_shell(platform: Platform) -> None:
    exports = shlex.split(platform.ok("env"))
    variables = dict(word.split("=", 1) for word in exports if word != "export")
    done = subprocess.run(
        ["pulumi", "up", "-s", "local", "--yes", "--skip-preview", "--expect-no-changes"],
        cwd=ROOT, env=os.environ | variables, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_status_names_each_component_with_its_health(platform: Platform) -> None:
    components = {row["component"]: row for row in platform.json("status")}
    assert {"postgresql", "object-store", "trino", "mlflow", "prometheus"} <= set(components)
    assert [row for row in components.values() if row["health"] != "healthy"] == []
