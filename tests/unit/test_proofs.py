"""What the runner makes of proofs, and what the report makes of results."""

import io
import json
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from proofs import report, run
from proofs.run import Check, Proof, Result, prove


def made(function: Any, name: str = "subject.it", needs: tuple[str, ...] = ()) -> Proof:
    return Proof(name, name.split(".")[0], "It holds.", needs, function)


def one(function: Any, **options: Any) -> Result:
    (result,) = prove(None, proofs=[made(function)], **options)  # type: ignore[arg-type]
    return result


def test_a_proof_that_asserts_and_holds_passes() -> None:
    def body(_: Any, check: Check) -> None:
        check(True, "the sky is up")
        check.equal(2, 2, "two is two")

    result = one(body)
    assert (result.result, result.assertions, result.cause) == ("passed", 2, "")
    assert result.asserted == ["the sky is up", "two is two"]


def test_a_proof_that_asserts_nothing_fails() -> None:
    result = one(lambda *_: None)
    assert (result.result, result.cause) == ("failed", "it asserted nothing")


def test_what_does_not_hold_is_told_with_what_was_seen() -> None:
    result = one(lambda _, check: check.equal(15, 16, "all airlines are there"))
    assert result.result == "failed"
    assert result.cause == "not so: all airlines are there (found=15, expected=16)"


def test_an_error_is_a_failure_that_names_its_place() -> None:
    def body(_: Any, check: Check) -> None:
        check(True, "so far")
        raise ConnectionError("refused")

    result = one(body)
    assert result.result == "failed"
    assert result.cause.startswith("ConnectionError: refused (at test_proofs.py:")


def test_a_skip_needs_a_reason() -> None:
    assert one(lambda _, check: check.skip("no GPU here")).cause == "no GPU here"
    assert one(lambda _, check: check.skip("no GPU here")).result == "skipped"
    assert one(lambda _, check: check.skip("")).result == "failed"


def test_a_refusal_for_the_wrong_reason_is_not_a_refusal() -> None:
    def reached() -> None:
        raise OSError("403 Forbidden")

    def away() -> None:
        raise OSError("no route to host")

    assert one(lambda _, check: check.refuses(reached, ["forbidden"], "no entry")).result == "passed"
    assert one(lambda _, check: check.refuses(away, ["forbidden"], "no entry")).result == "failed"
    assert one(lambda _, check: check.refuses(lambda: 1, ["forbidden"], "no entry")).result == "failed"


def test_a_proof_that_hangs_is_ended_by_the_deadline_and_the_rest_is_not_run() -> None:
    forever = threading.Event()
    proofs = [made(lambda *_: forever.wait(), "a.hangs"), made(lambda *_: None, "a.later")]
    hung, later = prove(None, proofs=proofs, deadline=0.2)  # type: ignore[arg-type]
    forever.set()
    assert (hung.result, hung.cause) == ("failed", "it was not done when the deadline came")
    assert (later.result, later.cause) == ("not run", "the deadline cut it off")
    assert not run.ok([later])


def test_with_no_time_left_nothing_is_begun() -> None:
    begun: list[str] = []
    proofs = [made(lambda *_: begun.append("it"), "a.first"), made(lambda *_: begun.append("it"), "a.second")]
    for deadline in (0, -1):
        found = prove(None, proofs=proofs, deadline=deadline)  # type: ignore[arg-type]
        assert [(entry.result, entry.cause) for entry in found] == [
            ("not run", "the deadline cut it off")
        ] * 2
    assert begun == []


def test_what_needs_a_proof_that_failed_is_not_run() -> None:
    def fails(_: Any, check: Check) -> None:
        check(False, "it holds")

    def holds(_: Any, check: Check) -> None:
        check(True, "it holds")

    proofs = [
        made(fails, "a.first"),
        made(holds, "a.second", ("a.first",)),
        made(holds, "a.third", ("a.none",)),
    ]
    first, second, third = prove(None, proofs=proofs)  # type: ignore[arg-type]
    assert first.result == "failed"
    assert (second.result, second.cause) == ("not run", "it needs a.first, which did not pass")
    assert third.result == "passed"


def test_what_needs_a_proof_that_was_skipped_is_skipped_for_the_same_reason() -> None:
    proofs = [
        made(lambda _, check: check.skip("there is no such part"), "a.first"),
        made(lambda _, check: check(True, "it holds"), "a.second", ("a.first",)),
        made(lambda _, check: check(True, "it holds"), "a.third", ("a.second",)),
        made(lambda _, check: check(True, "it holds"), "a.fourth"),
    ]
    results = prove(None, proofs=proofs)  # type: ignore[arg-type]
    assert [entry.result for entry in results] == ["skipped", "skipped", "skipped", "passed"]
    assert {entry.cause for entry in results[:3]} == {"there is no such part"}
    assert run.ok(results)


def test_proofs_are_chosen_by_subject_name_or_pattern_and_a_typo_is_refused() -> None:
    proofs = [made(None, name) for name in ("data.rows", "data.files", "training.ranks")]
    assert [entry.name for entry in run.choose(proofs, ["training"])] == ["training.ranks"]
    assert [entry.name for entry in run.choose(proofs, ["*.f*", "data.rows"])] == ["data.rows", "data.files"]
    assert run.choose(proofs, None) == proofs
    assert [entry.name for entry in run.choose(proofs, ["data"], ["data.rows"])] == ["data.files"]
    assert [entry.name for entry in run.choose(proofs, None, ["data"])] == ["training.ranks"]
    with pytest.raises(ValueError, match="no proof is called 'dat'"):
        run.choose(proofs, None, ["dat"])
    with pytest.raises(
        ValueError, match=r"no proof is called .trainin.; there are: data, training, data\.rows"
    ):
        run.choose(proofs, ["trainin"])


def result(kind: str, cause: str = "", assertions: int = 1) -> Result:
    return Result("a.b", "a", assertions, kind, cause, 1.0)


def test_all_is_well_only_if_everything_chosen_passed_or_was_skipped_with_a_reason() -> None:
    assert run.ok([result("passed"), result("skipped", "no GPU here", 0)])
    assert not run.ok([])
    assert not run.ok([result("skipped", "no GPU here", 0)])
    assert not run.ok([result("passed"), result("skipped", "", 0)])
    assert not run.ok([result("passed"), result("not run", "the deadline", 0)])
    assert not run.ok([result("passed"), result("failed", "x")])
    assert not run.ok([result("passed", assertions=0)])


def test_the_projects_own_proofs_are_found_in_order() -> None:
    found = run.discover()
    assert [entry.subject for entry in found] == sorted(
        (entry.subject for entry in found), key=lambda subject: run.SUBJECTS.index(subject)
    )
    assert {entry.subject for entry in found} == {
        "platform",
        "data",
        "training",
        "tuning",
        "serving",
        "rollout",
        "reaction",
        "experiments",
        "monitoring",
        "feedback",
        "drift",
    }
    names = {entry.name for entry in found}
    assert all(set(entry.needs) <= names for entry in found), "a proof needs one that there is not"


def test_no_two_faults_have_the_same_name() -> None:
    from proofs import faults

    names = [fault.name for fault in faults.EVERY]
    assert {name for name in names if names.count(name) > 1} == set()
    assert list(faults.FAULTS) == names


def test_every_fault_reddens_proofs_that_there_are() -> None:
    from proofs.faults import FAULTS

    names = {entry.name for entry in run.discover()}
    assert FAULTS
    for fault in FAULTS.values():
        assert set(fault.reddens) <= names, fault.name
        assert fault.words


BROKEN_FROM_BELOW = {
    "platform.nodes_are_ready": "tests/platform/test_faults.py",
    "platform.gpus_are_handed_out": "tests/platform/test_faults.py",
    "platform.secrets_are_encrypted_at_rest": "tests/apiserver/test_proof_of_encryption.py",
}
"""Proofs of what only the cluster's maker can break, and the test that breaks it."""


def test_a_fault_reddens_every_proof_that_can_be_broken_through_the_platform() -> None:
    from proofs.faults import FAULTS

    names = {entry.name for entry in run.discover()}
    assert names - {name for fault in FAULTS.values() for name in fault.reddens} == set(BROKEN_FROM_BELOW)
    for name, test in BROKEN_FROM_BELOW.items():
        assert name in (Path(__file__).parents[2] / test).read_text(), f"{test} does not break {name}"


@pytest.mark.parametrize(
    ("subject", "part"),
    [
        ("tuning", "tuning"),
        ("serving", "serving"),
        ("rollout", "serving"),
        ("reaction", "serving"),
        ("feedback", "serving"),
        ("drift", "serving"),
        ("experiments", "serving"),
    ],
)
def test_without_a_part_its_proofs_are_skipped_with_the_way_to_have_it(subject: str, part: str) -> None:
    platform = SimpleNamespace(access={})
    results = [
        run.run_one(entry, platform, None)  # type: ignore[arg-type]
        for entry in run.discover()
        if entry.subject == subject
    ]
    assert {result.result for result in results} == {"skipped"}
    assert {result.cause for result in results} == {
        f"the part {part} is not provisioned (seatrial up --with {part})"
    }


def test_a_proof_without_a_sentence_is_refused() -> None:
    def bare(_: Any, check: Check) -> None:
        check(True, "x")

    bare.__doc__ = None
    with pytest.raises(ValueError, match=r"proof x\.bare has no docstring"):
        run.proof("x")(bare)


# --- the report ---------------------------------------------------------------------------------------------

EVALUATION = {
    "test_months": [7], "threshold": 0.5, "rows": 100,
    "metrics": {"accuracy": 0.88, "precision": 0.9, "recall": 0.6, "roc_auc": 0.9, "base_accuracy": 0.68},
    "confusion": {"true_positive": 20, "false_positive": 2, "false_negative": 10, "true_negative": 68},
    "roc": [[0, 0], [0.1, 0.8], [1, 1]],
}  # fmt: skip


@pytest.fixture
def results() -> list[Result]:
    return [
        Result(
            "a.good", "a", 2, "passed", "", 1.5, "It holds.", ["x is y", "y is z"],
            {"evaluation": EVALUATION, "losses": {"train_loss": [0.4, 0.3], "validation_loss": [0.5, 0.4]}},
        ),
        Result("b.bad", "b", 1, "failed", "not so: <b>bold</b> [x] \x1b[31m", 0.5, "It fails.", ["no"]),
        Result("b.none", "b", 0, "not run", "the deadline cut it off", 0.0, "Later."),
        Result("b.skip", "b", 0, "skipped", "no GPU here", 0.0, "GPUs."),
    ]  # fmt: skip


def test_the_written_files_say_the_same(results: list[Result], tmp_path: Path) -> None:
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps([{"name": "Deployment platform-data/trino", "start": 1.0, "seconds": 21.5}]))
    files = report.write(results, tmp_path / "out", timeline=steps)
    data = json.loads(files["json"].read_text())
    assert [entry["result"] for entry in data] == ["passed", "failed", "not run", "skipped"]
    assert {"name", "subject", "assertions", "result", "cause", "seconds"} <= set(data[0])
    suites = ElementTree.parse(files["junit"]).getroot()
    assert {suite.get("name"): suite.get("failures") for suite in suites} == {"a": "0", "b": "1"}
    assert suites[1].get("errors") == suites[1].get("skipped") == "1"
    page = files["html"].read_text()
    assert "not passed" in page
    assert page.count("<svg") == 3
    assert "Deployment platform-data/trino: 21.5 s" in page
    assert list((tmp_path / "out").glob("*.part")) == []


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows(results: list[Result]) -> None:
    page = report.html(results, stack="local", made="now")
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold" in page
    for word in ("http://", "https://", "<script", "@import", "url("):
        assert word not in page, word


def test_the_page_shows_how_soon_alerts_of_all_proofs_arrived_the_slowest_first() -> None:
    def proven(name: str, **took: float) -> Result:
        ways = [{"alert": alert, "took": seconds, "allowed": 16.0} for alert, seconds in took.items()]
        return Result(f"monitoring.{name}", "monitoring", 1, "passed", "", 1.0, attached={"alerts": ways})

    found = [proven("dead", TrinoDown=11.04, MlflowDown=16.4), proven("drift", FeatureDrifts=12.0)]
    page = report.html([*found, result("passed")], stack="local", made="now")
    rows = re.findall(r'<td class="(\w+)">.</td><td>(\w+)</td>.*>([0-9.]+)</td>.*>([0-9.]+)</td>', page)
    assert rows == [
        ("failed", "MlflowDown", "16.4", "16.0"),
        ("passed", "FeatureDrifts", "12.0", "16.0"),
        ("passed", "TrinoDown", "11.0", "16.0"),
    ]
    assert "19 of 20 took 16.0 s at most" in page


def test_a_page_without_figures_is_still_a_page() -> None:
    page = report.html([result("passed")], stack="dev", made="now")
    assert "<svg" not in page
    assert "alerts arrive" not in page
    assert "passed" in page


def test_a_timeline_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "steps.json"
    broken.write_text("{")
    assert report.read_timeline(broken) == []
    assert report.read_timeline(tmp_path / "none.json") == []
    assert report.read_timeline(None) == []


def test_the_table_shows_causes_as_they_are(results: list[Result]) -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table(results))
    text = console.export_text()
    assert "b.bad" in text
    assert "failed: not so: <b>bold</b> [x]" in text
    assert report.summary(results) == "4 proofs, 3 assertions: 1 passed, 1 failed, 1 skipped, 1 not run"


def test_what_is_left_out_for_the_same_reason_takes_one_line(results: list[Result]) -> None:
    from rich.console import Console

    reason = "the part c is not provisioned (seatrial up --with c)"
    names = ("c.first", "c.second", "d.third")
    absent = [Result(name, name[0], 0, "skipped", reason, 0.0, f"About {name}.") for name in names]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table([*results, *absent]))
    text = console.export_text()
    assert text.count(reason) == 1
    assert "3 proofs of c, d" in text
    assert [name for name in names if name in text] == []
    assert "no GPU here" in text, "one that is skipped alone is told as any other"
    page = report.html([*results, *absent], stack="local", made="now")
    assert page.count(reason) == 1
    assert [name for name in names if f"About {name}." not in page] == []
    assert "<h2>C</h2>" not in page


def test_what_makes_a_run_fail_is_told_in_a_line_each(results: list[Result]) -> None:
    told = report.red(results)
    assert [line.split(": ")[:2] for line in told] == [["failed", "b.bad"], ["not run", "b.none"]]
    assert told[0].startswith("failed: b.bad: not so: <b>bold</b> [x]")
