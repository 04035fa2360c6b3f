"""The file that a benchmark leaves: `seatrial.bench/v1`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmarks.errors import BenchmarkError
from benchmarks.results import (
    UNITS,
    Attachment,
    Comparison,
    Condition,
    Environment,
    Machine,
    Measured,
    Pair,
    Results,
    Run,
    Subject,
    Summary,
    Verdict,
)

GOLDEN = Path(__file__).parent / "data" / "bench-results.json"


def results(**changed: Any) -> Results:
    """A small file with everything in it."""
    parts: dict[str, Any] = {
        "schema": "seatrial.bench/v1",
        "run": Run(
            id="20260102T030405Z-7f3a", benchmark="collectives", seconds=93.5, seed=42, pairs=3,
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ended="budget",
            reason="the time budget of 90 s was used up", complete=False,
        ),
        "subject": Subject(stack="local", commit="084a288", dirty=True, images={"workloads:1": "sha256:aa"}),
        "env": Environment(
            fingerprint="sha256:bb", machine="2 cores, AMD EPYC 9B14", cpus=["AMD EPYC 9B14"],
            machines=[Machine(node="work", cores=2, memory_gib=23.4, kernel="6.8.0", os="Debian 12")],
            kubernetes="v1.36.3", load1=1.25, steal_percent=6.5,
        ),
        "config": {"rounds": 20, "backend": "gloo"},
        "pairs": [
            Pair(number=0, block=0, order=["pods", "one_pod"], seconds=41.0, steal_percent=0.4),
            Pair(number=1, block=1, order=["one_pod", "pods"], seconds=40.5, steal_percent=6.5,
                 discarded="6.5 % of the processor's time was stolen"),
        ],
        "metrics": [
            Measured(
                id="coll.busbw", case="16MiB", unit="GB/s", better="higher", role="gate", tier=2,
                candidate="pods", base="one_pod",
                samples={"pods": [[0.4, 0.5], [0.1]], "one_pod": [[0.6], []]}, value=0.45,
                summary={"pods": Summary(pairs=1, n=2, median=0.45, mean=0.45, sd=0.05, ci95=None,
                                         quantiles={"0.9": None}, quantile_bound99={"0.9": None},
                                         n_required={"0.9": 64})},
            ),
            Measured(
                id="coll.mfu", unit="ratio", better="higher", role="trend", tier=2, candidate="pods",
                samples={"pods": [[], []]}, value=None, reason="the peak of this processor is not known",
            ),
        ],
        "validity": [Condition(id="pairs.discarded", value=0.5, limit=0.2, ok=False)],
        "comparison": Comparison(alpha=0.01, verdicts=[
            Verdict(id="coll.busbw", case="16MiB", role="gate", verdict="invalid",
                    message="half was discarded", ratio=0.75, ci=(0.7, 0.8), pairs=1,
                    p_value=0.9, q_value=0.9),
        ]),
        "attachments": [Attachment(path="collectives.log", sha256="cc", type="pod-logs")],
    }  # fmt: skip
    return Results(**{**parts, **changed})


def measured(**changed: Any) -> Measured:
    parts = {**results().metrics[0].model_dump(), **changed}
    return Measured(**parts)


def test_the_format_is_the_golden_file() -> None:
    assert results().to_json() == GOLDEN.read_text(), "a changed format is a new version of the schema"


def test_what_is_written_is_read_again_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "collectives.json"
    results().write(path)
    assert Results.read(path) == results()
    assert [entry.name for entry in path.parent.iterdir()] == ["collectives.json"]


def test_a_value_that_is_null_needs_a_reason_and_only_such_a_one_has_one() -> None:
    with pytest.raises(ValidationError, match="null has a reason"):
        measured(value=None)
    with pytest.raises(ValidationError, match="null has a reason"):
        measured(reason="it was late")
    assert measured(value=None, reason="one rank has no bus").value is None


def test_units_are_a_closed_list() -> None:
    assert set(UNITS) == {"s", "ms", "us", "1/s", "GB/s", "ratio", "count"}
    with pytest.raises(ValidationError, match="unit"):
        measured(unit="MB/s")


def test_samples_must_fit_the_pairs() -> None:
    with pytest.raises(ValidationError, match=r"coll.busbw/16MiB, side pods: 1 lists of samples for 2 pairs"):
        results(metrics=[measured(samples={"pods": [[1.0]]})])


def test_a_metric_is_given_once() -> None:
    with pytest.raises(ValidationError, match=r"metrics given twice: coll\.busbw/16MiB"):
        results(metrics=[measured(), measured()])


def test_a_run_that_was_cut_off_is_not_complete() -> None:
    with pytest.raises(ValidationError, match="complete is True, but the run ended: budget"):
        Run(**{**results().run.model_dump(), "complete": True})


def test_a_number_is_a_number() -> None:
    with pytest.raises(ValidationError):
        measured(samples={"pods": [[float("nan")], []]})


def test_a_run_is_valid_only_if_every_condition_holds() -> None:
    assert not results().valid
    assert results(validity=[Condition(id="x", value=0, limit=1, ok=True)]).valid


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data.update(schema="mlplat.bench/v1"), "schema"),
        (lambda data: data["run"].update(colour="red"), "run.colour: Extra inputs"),
        (lambda data: data["run"].update(started="2026-01-02T03:04:05"), "run.started"),
        (lambda data: data.pop("env"), "env: Field required"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(spoil: Any, told: str, tmp_path: Path) -> None:
    data = json.loads(GOLDEN.read_text())
    spoil(data)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BenchmarkError, match=told) as refused:
        Results.read(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="No such file"):
        Results.read(tmp_path / "none.json")
    (tmp_path / "empty.json").write_text("")
    with pytest.raises(BenchmarkError, match="Invalid JSON"):
        Results.read(tmp_path / "empty.json")
