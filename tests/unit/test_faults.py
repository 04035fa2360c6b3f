"""Each fault mends what it broke, also when what ran meanwhile failed."""

import io
import ssl
from collections.abc import Callable
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock, call

import pandas as pd
import pytest
from kubernetes import client as k8s

from client.waiting import until
from proofs import damage, damage_serving, faults, trainings
from proofs.faults import Fault
from proofs.run import Result
from proofs.subjects import data, serving_gateway
from tests.unit.lake import Lake


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    trained = MagicMock()
    trained.evaluation = {"confusion": {"true_positive": 7}, "weights_sha256": ["right", "right"]}
    trained.predictions = pd.DataFrame({"late_probability": [0.5]})
    trained.version = Some(name="delay", version="4", run_id="r4")
    monkeypatch.setattr(damage.training, "Trained", lambda _: trained)
    return trained


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    record = {"tables": {"flights": {"snapshot_id": "11"}}}
    monkeypatch.setattr(damage.probe, "ingest_record", lambda _: record)
    return MagicMock()


def broken_and_left_by_an_error(fault: Callable[[Any], Any], platform: Any) -> None:
    with pytest.raises(KeyError), fault(platform):
        raise KeyError("the proof's own error")


def test_a_changed_table_is_rolled_back_to_what_was_loaded(platform: Any) -> None:
    broken_and_left_by_an_error(faults.FAULTS["changed-value"].breaks, platform)
    changed, mended = [entry.args[0] for entry in platform.sql.call_args_list]
    assert changed.startswith("UPDATE iceberg.nycflights13.flights SET")
    assert mended.endswith("EXECUTE rollback_to_snapshot(snapshot_id => 11)")


def test_flights_that_are_deleted_are_missed_by_the_proof_of_rows(platform: Any) -> None:
    lake, place = Lake(""), data.PLACE
    lake.rows(f"CREATE SCHEMA {place}")
    for table in data.TABLES:
        frame = data.source().table(table.name).df()
        lake.database.register("loaded", frame)
        lake.rows(f"CREATE TABLE {place}.{table.name} AS SELECT * FROM loaded")
    lake.rows(f"CREATE TABLE before AS SELECT * FROM {place}.flights")

    def sql(statement: str) -> Any:
        if "EXECUTE rollback_to_snapshot" in statement:
            return lake.rows(f"CREATE OR REPLACE TABLE {place}.flights AS SELECT * FROM before")
        return lake.run(statement)

    platform.sql = sql
    assert faults.trial(platform, faults.FAULTS["lost-rows"]).complaints == []


def test_what_the_registry_says_of_a_version_is_put_right(found: Any, platform: Any) -> None:
    broken_and_left_by_an_error(damage.swapped_weights, platform)
    tag = ("delay", "4", "weights_sha256")
    assert found.mlflow.set_model_version_tag.mock_calls == [call(*tag, "0" * 64), call(*tag, "right")]
    broken_and_left_by_an_error(damage.falsified_metric, platform)
    metric = ("r4", "test_true_positive")
    assert found.mlflow.log_metric.mock_calls == [call(*metric, 8), call(*metric, 7)]


def test_a_version_that_never_learned_goes_with_its_run(found: Any, platform: Any) -> None:
    found.mlflow.create_run.return_value = Some(info=Some(run_id="r5", artifact_uri="mlflow-artifacts:/5"))
    found.mlflow.create_model_version.return_value = Some(name="delay", version="5")
    broken_and_left_by_an_error(damage.untrained_version, platform)
    found.mlflow.create_model_version.assert_called_once_with("delay", "mlflow-artifacts:/5", "r5")
    found.mlflow.delete_model_version.assert_called_once_with("delay", "5")
    found.mlflow.delete_run.assert_called_once_with("r5")


def test_a_stray_pod_of_a_killed_fault_is_no_hindrance(platform: Any) -> None:
    platform.core.delete_namespaced_pod.side_effect = [None, k8s.ApiException(status=404)]
    platform.core.list_namespaced_pod.return_value.items = []
    broken_and_left_by_an_error(damage.pod_that_fits_nowhere, platform)
    assert platform.core.delete_namespaced_pod.call_count == 2
    platform.core.delete_namespaced_pod.side_effect = k8s.ApiException(status=403)
    with pytest.raises(k8s.ApiException):
        damage.pod_that_fits_nowhere(platform).__enter__()


def test_only_running_trainings_of_the_name_are_meddled_with_and_each_once(platform: Any) -> None:
    def run(number: str, training: str) -> Any:
        return Some(info=Some(run_id=number), data=Some(tags={"training": training}))

    server = platform.mlflow.return_value
    server.search_runs.return_value = [
        run("1", "probe-killed-0f"),
        run("2", "probe-training-0f"),
        run("3", ""),
    ]
    met: list[str] = []
    with damage.meddling(platform, ("probe-killed", "probe-damaged"), lambda _, number: met.append(number)):
        until(lambda: server.search_runs.call_count > 2, "a second look", 10)
    assert met == ["1"]


@pytest.mark.parametrize(
    ("broken", "mended", "complaint"),
    [
        (("failed", "it said 401"), ("passed", ""), None),
        (("passed", ""), ("passed", ""), "a.b did not go red"),
        (("failed", "no route"), ("passed", ""), "a.b went red without naming the cause: no route"),
        (("failed", "it said 401"), ("failed", "x"), "a.b stayed failed when it was mended: x"),
    ],
)
def test_a_trial_complains_of_what_is_not_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch,
    platform: Any,
    broken: tuple[str, str],
    mended: tuple[str, str],
    complaint: str | None,
) -> None:
    outcomes = iter([broken, mended])
    monkeypatch.setattr(faults, "prove", lambda *_, **__: [Result("a.b", "a", 1, *next(outcomes), 0.1)])
    fault = Fault("f", lambda _: damage.changed_table(platform, "{table}"), ("a.b",), ("401",))
    assert faults.trial(platform, fault).complaints == ([complaint] if complaint else [])


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([(0, 0.5), (1, 0.25)], 0.0),
        ([(0, 0.5), (1, 0.2)], 0.2),
        ([(0, 0.25), (1, 0.25)], 0.5),
        ([(0, 0.5)], float("inf")),
        ([(0, 0.5), (1, 0.25), (1, 0.25)], float("inf")),
        ([(0, 0.5), (2, 0.25)], float("inf")),
    ],
)
def test_losses_are_compared_step_by_step(others: list[tuple[int, float]], expected: float) -> None:
    assert trainings.furthest([(0, 0.5), (1, 0.25)], others) == pytest.approx(expected)
    assert trainings.furthest(others, [(0, 0.5), (1, 0.25)]) == pytest.approx(expected)


def test_nothing_is_not_alike() -> None:
    assert trainings.furthest([], []) == float("inf")


def test_a_damaged_object_differs_by_one_bit(platform: Any) -> None:
    platform.s3.return_value.get_object.return_value = {"Body": io.BytesIO(b"abcd")}
    trainings.damage(platform, "k")
    assert platform.s3.return_value.put_object.call_args.kwargs["Body"] == b"abbd"


@pytest.fixture
def studied(platform: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The cursor of a platform with one study of a pruned and a complete trial."""
    found = [Some(number=0, state="PRUNED", slot=0), Some(number=1, state="COMPLETE", slot=1)]
    monkeypatch.setattr(damage.tuning, "studied", lambda _: "probe-tuning-1")
    monkeypatch.setattr(damage.tuning, "tries", lambda *_: found)
    database = platform.studies.return_value.__enter__.return_value
    database.execute.return_value.fetchone.return_value = (77,)
    return database


def test_a_trial_gets_its_state_back(studied: Any, platform: Any) -> None:
    broken_and_left_by_an_error(faults.FAULTS["lost-trial"].breaks, platform)
    assert [entry.args[1] for entry in studied.execute.mock_calls] == [
        ["FAIL", 0, "probe-tuning-1"],
        ["PRUNED", 0, "probe-tuning-1"],
    ]


def test_a_second_result_is_taken_away(studied: Any, platform: Any) -> None:
    broken_and_left_by_an_error(damage.doubled_trial, platform)
    assert studied.execute.mock_calls[-1].args == ("DELETE FROM trials WHERE trial_id = %s", [77])


def test_a_lost_try_is_taken_away(studied: Any, platform: Any) -> None:
    studied.execute.return_value.fetchall.return_value = [(78,)]
    with damage.lost_try(platform):
        until(lambda: studied.execute.call_count > 2, "the try", 10)
    assert studied.execute.mock_calls[-1].args == ("DELETE FROM trials WHERE trial_id = %s", [78])


def kueue(monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str]) -> list[dict[str, Any]]:
    """A queue that is as it was last asked to be: `wanted` is the policy → whether it is active then."""
    asked: list[dict[str, Any]] = []

    def change(_: Any, kind: str, name: str, body: dict[str, Any]) -> None:
        assert kind == "ClusterQueue"
        asked.append({name: body["spec"]})

    def condition(*_: Any) -> dict[str, Any]:
        (spec,) = asked[-1].values()
        return {"status": wanted[spec["stopPolicy"]]}

    monkeypatch.setattr(damage.queued, "change", change)
    monkeypatch.setattr(damage.queued, "condition", condition)
    return asked


def test_a_held_queue_takes_jobs_again(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = kueue(monkeypatch, {"Hold": "False", "None": "True"})
    broken_and_left_by_an_error(damage.held_queue, platform)
    assert asked == [{"workloads": {"stopPolicy": "Hold"}}, {"workloads": {"stopPolicy": "None"}}]


def test_a_queue_is_generous_as_soon_as_it_is_there(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def change(_: Any, __: str, name: str, body: dict[str, Any]) -> None:
        tries.append(body["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"])
        if len(tries) == 1:
            raise k8s.ApiException(status=404)

    monkeypatch.setattr(damage.queued, "change", change)
    with damage.generous_queue(platform):
        until(lambda: len(tries) > 1, "a second try", 10)
    assert set(tries) == {"10"}
    assert float(tries[0]) > 2 * 0.2


class Objects:
    """Custom objects, changed by merge patches; `judged` says what their controller makes of a spec."""

    def __init__(self, spec: dict[str, Any], judged: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.spec, self.judged = dict(spec), judged
        self.patches: list[dict[str, Any]] = []
        self.read = 0

    def get_namespaced_custom_object(self, *_: Any) -> dict[str, Any]:
        self.read += 1
        return {
            "metadata": {"generation": len(self.patches)},
            "spec": dict(self.spec),
            "status": self.judged(self.spec),
        }

    def patch_namespaced_custom_object(self, *arguments: Any) -> None:
        self.patches.append(arguments[-1]["spec"])
        self.spec |= arguments[-1]["spec"]


def custom(monkeypatch: pytest.MonkeyPatch, objects: Objects) -> Objects:
    monkeypatch.setattr(k8s, "CustomObjectsApi", lambda _: objects)
    return objects


def test_a_policy_comes_back_to_its_gateway(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"kind": "Gateway", "name": "platform"}
    objects = custom(monkeypatch, Objects({"targetRefs": [here]}, lambda _: {}))

    def judged(spec: dict[str, Any]) -> dict[str, Any]:
        """The controller says nothing of a policy without a target: what it said before is left."""
        seen = len(objects.patches) if spec["targetRefs"] == [here] else 0
        accepted = {"type": "Accepted", "status": "True", "observedGeneration": seen}
        return {"ancestors": [{"conditions": [accepted]}]}

    objects.judged = judged
    broken_and_left_by_an_error(faults.FAULTS["open-gateway"].breaks, platform)
    assert objects.patches == [{"targetRefs": [{**here, "name": "fault"}]}, {"targetRefs": [here]}]


def test_the_gateway_shows_its_own_certificate_again(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [{"name": "https", "tls": {"certificateRefs": [{"name": "gateway-tls"}]}}]
    objects = custom(monkeypatch, Objects({"listeners": own}, lambda _: {}))

    def served(*_: Any) -> None:
        if shown(objects.spec) != "gateway-tls":
            raise ssl.SSLCertVerificationError("not for that host")

    def shown(spec: dict[str, Any]) -> str:
        return str(spec["listeners"][0]["tls"]["certificateRefs"][0]["name"])

    monkeypatch.setattr(damage_serving, "served", served)
    broken_and_left_by_an_error(damage_serving.certificate_of_another, platform)
    assert [shown(entry) for entry in objects.patches] == ["envoy", "gateway-tls"]


def test_nobody_renews_once_the_short_lived_certificate_is_there(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}
    objects = custom(monkeypatch, Objects({}, lambda _: ready))
    scaled: list[int] = []
    monkeypatch.setattr(damage_serving, "scale", lambda *arguments: scaled.append(arguments[-1]))
    with damage_serving.nobody_renews(platform):
        damage.until(lambda: objects.read > 1, "a second look", 10)
        assert scaled == []
        objects.patch_namespaced_custom_object({"spec": dict(serving_gateway.SHORT)})
        damage.until(lambda: scaled == [0], "cert-manager to go", 10)
    assert scaled == [0, 1]


def test_a_short_life_ends_with_the_proof(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = custom(monkeypatch, Objects({"duration": "2160h"}, lambda _: {}))
    broken_and_left_by_an_error(serving_gateway.short_lived, platform)
    assert objects.patches == [serving_gateway.SHORT, {"duration": "2160h", "renewBefore": None}]
