"""Horovod's MPIJob and its launcher: what can be told without a cluster and without Horovod."""

import json
import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

import workloads
from client import jobs
from local.images import recipe
from seatrial import wanted
from workloads import launch, mpi, pods

IMAGE = "registry.example/seatrial/workloads:0123"
RECIPE = recipe.load("horovod").folder


def job(**options: Any) -> dict[str, Any]:
    (made,) = workloads.manifest("train_delay_horovod", IMAGE, **options)
    return made


def replicas(made: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["mpiReplicaSpecs"][kind]
    return found


def command(**options: Any) -> list[str]:
    found: list[str] = replicas(job(**options), "Launcher")["template"]["spec"]["containers"][0]["command"]
    return found


# --- the image ----------------------------------------------------------------------------------------------


def test_it_runs_in_the_image_beside_the_common_one() -> None:
    beside = "registry.example/seatrial/workloads-horovod:0123"
    assert workloads.image_of(IMAGE, "workloads-horovod") == beside
    assert workloads.image_of(beside, "workloads-horovod") == beside
    assert workloads.image_of("localhost:5000/workloads:1", "other") == "localhost:5000/other:1"
    assert jobs.image_of(job()) == beside


@pytest.mark.parametrize("image", [f"r/workloads@sha256:{'0' * 64}", "r/mine:1"])
def test_an_image_that_does_not_tell_the_one_beside_it_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="does not tell which image called workloads-horovod is meant"):
        workloads.image_of(image, "workloads-horovod")


def test_an_image_named_by_its_digest_is_taken_when_it_is_the_right_one() -> None:
    image = f"r/workloads-horovod@sha256:{'0' * 64}"
    assert workloads.image_of(image, "workloads-horovod") == image


def test_its_image_is_built_where_the_part_training_is_and_nowhere_else() -> None:
    assert "workloads-horovod" in {image.recipe for image in wanted.platform_images(("training",))}
    assert "workloads-horovod" not in {image.recipe for image in wanted.platform_images(("tuning",))}


def test_the_image_has_what_the_manifest_names() -> None:
    containerfile, sshd = (RECIPE / "Containerfile").read_text(), (RECIPE / "sshd_worker").read_text()
    user = pods.pod("x", {})["spec"]["securityContext"]["runAsUser"]
    assert f"useradd --uid {user} --home-dir {Path(mpi.KEYS).parent} " in containerfile
    assert f"\nPort {mpi.PORT}\n" in sshd
    assert f"  Port {mpi.PORT}\n" in (RECIPE / "ssh_worker.conf").read_text()
    assert f"\nHostKey {mpi.KEYS}/id_rsa\n" in sshd
    assert f"\nAuthorizedKeysFile {mpi.KEYS}/authorized_keys\n" in sshd
    worker = replicas(job(), "Worker")["template"]["spec"]["containers"][0]
    assert (RECIPE / worker["command"][0]).is_file()


def test_a_session_has_the_environment_that_the_worker_keeps_for_it() -> None:
    (kept,) = re.findall(r"env -0 > (\S+)", (RECIPE / "start-worker").read_text())
    assert f"done < {kept}" in (RECIPE / "run-as-pod").read_text()


# --- the job ------------------------------------------------------------------------------------------------


def test_workers_never_share_a_node_and_the_launcher_may_be_anywhere() -> None:
    made = job(ranks=3)
    workers, launcher = replicas(made, "Worker"), replicas(made, "Launcher")
    assert (workers["replicas"], launcher["replicas"]) == (3, 1)
    affinity = workers["template"]["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    picked = rule["labelSelector"]["matchLabels"].items()
    assert picked <= workers["template"]["metadata"]["labels"].items()
    assert not picked <= launcher["template"]["metadata"]["labels"].items()
    assert "affinity" not in launcher["template"]["spec"]


def test_the_launcher_waits_until_the_workers_answer() -> None:
    made = job()
    assert made["spec"]["launcherCreationPolicy"] == "WaitForWorkersReady"
    (worker,) = replicas(made, "Worker")["template"]["spec"]["containers"]
    assert worker["readinessProbe"]["tcpSocket"] == {"port": mpi.PORT}


def test_mpirun_starts_a_rank_a_worker() -> None:
    said = command(ranks=3, arguments=["--set", "epochs=2"])
    assert said[said.index("--") + 1] == "mpirun"
    assert said[said.index("-np") + 1] == "3"
    module = "workloads.train_delay_horovod.main"
    assert said[said.index(module) :] == [module, "--config", "reference", "--set", "epochs=2"]


def test_an_elastic_horovodrun_needs_one_worker_and_takes_all() -> None:
    said = command(ranks=3, elastic=True)
    assert said[said.index("--") + 1] == "horovodrun"
    options = {name: said[said.index(name) + 1] for name in ("-np", "--min-np", "--max-np")}
    assert options == {"-np": "3", "--min-np": "1", "--max-np": "3"}
    assert said[said.index("--host-discovery-script") + 1] == mpi.DISCOVERY


def test_a_worker_with_gpus_has_a_rank_for_each() -> None:
    (made,) = mpi.objects(
        IMAGE, "m", [], name="n", workers=2, gpus=4, env=[], namespace="w", memory="1Gi", memory_limit="2Gi"
    )
    assert made["spec"]["slotsPerWorker"] == 4
    template = replicas(made, "Worker")["template"]["spec"]
    assert template["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert template["tolerations"][0]["key"] == "nvidia.com/gpu"
    launcher = replicas(made, "Launcher")["template"]["spec"]
    assert "nvidia.com/gpu" not in launcher["containers"][0]["resources"]["limits"]
    said = launcher["containers"][0]["command"]
    assert said[said.index("-np") + 1] == "8"


# --- the launcher -------------------------------------------------------------------------------------------

RANK_0, RANK_1 = {"rank": 0, "run_id": "a"}, {"rank": 1}


def test_what_a_rank_says_is_found_behind_what_a_launcher_puts_before_it() -> None:
    assert launch.account(json.dumps(RANK_0)) == RANK_0
    assert launch.account(f"[1]<stdout>:{json.dumps(RANK_1)}\n") == RANK_1
    assert launch.account('[0]<stderr>:{"error": "no data"}') == {"error": "no data"}
    for line in ("12:00 read seconds=1", "a set {1, 2}", '{"other": 1}', "{", "[1, 2]"):
        assert launch.account(line) is None


def test_the_last_account_of_rank_0_counts_and_the_first_failure() -> None:
    later = {"rank": 0, "run_id": "b"}
    assert launch.ending(0, [RANK_0, RANK_1, later], "mpirun") == (0, later)
    assert launch.ending(3, [RANK_0, {"error": "x"}, {"error": "y"}], "mpirun") == (3, {"error": "x"})


@pytest.mark.parametrize("said", [[], [RANK_1]])
def test_a_launcher_that_ends_well_before_rank_0_did_has_failed(said: list[dict[str, Any]]) -> None:
    message = {"error": "mpirun ended with 0 before rank 0 said how, as it does when a worker is lost"}
    assert launch.ending(0, said, "mpirun") == (1, message)


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("print('x'); print('{\"rank\": 0, \"run_id\": \"a\"}')", 0, {"rank": 0, "run_id": "a"}),
        ("import sys; sys.stderr.write('{\"error\": \"no data\"}\\n'); sys.exit(3)", 3, {"error": "no data"}),
        (
            "import os; os.kill(os.getpid(), 9)",
            137,
            {"error": f"{sys.executable} ended with 137 before any rank said why"},
        ),
    ],
)  # fmt: skip
def test_the_launcher_ends_as_its_command_did_and_keeps_the_account(
    script: str, code: int, message: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr("workloads.common.TERMINATION_LOG", log)
    assert launch.main(["--", sys.executable, "-c", script]) == code
    assert json.loads(log.read_text()) == message


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What MLflow is told of trainings whose ranks are gone."""
    told: list[tuple[str, str]] = []
    monkeypatch.setenv("TRAINING_ID", "mine-1")
    monkeypatch.setattr(launch.tracking, "lost", lambda *said: told.append(said))
    return told


def test_a_training_that_failed_is_told_to_mlflow_with_its_cause(lost: list[tuple[str, str]]) -> None:
    assert launch.main(["--", sys.executable, "-c", 'print(\'{"error": "no data"}\'); exit(3)']) == 3
    assert lost == [("mine-1", "no data")]


def test_one_that_ended_well_is_left_to_its_ranks(lost: list[tuple[str, str]]) -> None:
    assert launch.main(["--", sys.executable, "-c", "print('{\"rank\": 0}')"]) == 0
    assert lost == []


def test_an_mlflow_that_is_away_hides_no_cause(
    lost: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: str) -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(launch.tracking, "lost", away)
    assert launch.main(["--", sys.executable, "-c", "exit(7)"]) == 7
    said = capsys.readouterr().out
    assert "could not mark the run as failed error=nobody there" in said
    assert "ended with 7 before any rank said why" in said


@pytest.mark.parametrize("elastic", [False, True])
def test_the_launcher_knows_the_training_and_waits_for_workers_if_it_needs_all(elastic: bool) -> None:
    (container,) = replicas(job(elastic=elastic, training="mine-1"), "Launcher")["template"]["spec"][
        "containers"
    ]
    assert {"name": "TRAINING_ID", "value": "mine-1"} in container["env"]
    own = container["command"][: container["command"].index("--")]
    assert own[3:] == ([] if elastic else ["--hosts", mpi.HOSTS, "--port", str(mpi.PORT)])


def test_the_command_is_run_once_every_worker_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hosts, asked = tmp_path / "hostfile", list[str]()
    hosts.write_text("a.job.ns.svc slots=2\nb.job.ns.svc slots=2\n\n")

    def refusal(host: str, port: int) -> OSError | None:
        assert port == 2222
        assert "ran" not in capfd.readouterr().out
        asked.append(host)
        return OSError("unknown") if len(asked) < 3 else None

    monkeypatch.setattr(launch, "refusal", refusal)
    script = "print('ran'); print('{\"rank\": 0}')"
    assert launch.main(["--hosts", str(hosts), "--port", "2222", "--", sys.executable, "-c", script]) == 0
    assert asked == ["a.job.ns.svc", "a.job.ns.svc", "a.job.ns.svc", "b.job.ns.svc"]
    assert "ran" in capfd.readouterr().out


def test_a_worker_that_never_answers_is_named_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hosts = tmp_path / "hostfile"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Taken, and not listened at.
        port = nobody.getsockname()[1]
        hosts.write_text("127.0.0.1 slots=1\n")
        monkeypatch.setattr(launch, "PATIENCE", 0.0)
        code = launch.main(["--hosts", str(hosts), "--port", str(port), "--", "echo", "ran"])
    said = capfd.readouterr().out
    assert code == 1
    assert f"worker 127.0.0.1 did not answer at port {port}" in said
    assert "ran" not in said


def test_who_answers_is_reached() -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        assert launch.refusal("127.0.0.1", somebody.getsockname()[1]) is None


def test_only_a_run_that_is_still_said_to_run_is_marked_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    server = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(
        launch.tracking.common, "mlflow", lambda: Some(tracking=Some(MlflowClient=lambda: server))
    )
    experiment = server.create_experiment("delay")
    names = ("running", "finished", "other")
    runs = {
        name: server.create_run(experiment, tags={"training": "b" if name == "other" else "a"}).info.run_id
        for name in names
    }
    server.set_terminated(runs["finished"])
    launch.tracking.lost("a", "x" * 2000)
    found = {name: server.get_run(runs[name]) for name in names}
    assert {name: run.info.status for name, run in found.items()} == {
        "running": "FAILED", "finished": "FINISHED", "other": "RUNNING",
    }  # fmt: skip
    assert found["running"].data.tags["last_failure"] == "x" * 1000
    assert "last_failure" not in found["finished"].data.tags
