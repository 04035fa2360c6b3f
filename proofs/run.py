"""Finds the proofs, runs them and keeps what they asserted."""

import fnmatch
import importlib
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from client import Platform, Progress, Silent

PASSED, FAILED, SKIPPED, NOT_RUN = "passed", "failed", "skipped", "not run"


class Broken(AssertionError):
    """What a proof watches does not hold."""


class Skip(Exception):
    """The proof cannot say anything here, for the reason given."""


class Check:
    """Counts and records what a proof asserts: `check(rows == 16, "all airlines are there", rows=rows)`."""

    def __init__(self) -> None:
        self.asserted: list[str] = []
        self.attached: dict[str, Any] = {}
        self.step = ""

    def __call__(self, holds: bool, message: str, **observed: Any) -> None:
        """Assert `message`; what was observed is told when it does not hold."""
        self.asserted.append(message)
        if not holds:
            seen = ", ".join(f"{name}={short(value)}" for name, value in observed.items())
            raise Broken(f"not so: {message}" + (f" ({seen})" if seen else ""))

    def equal(self, found: Any, expected: Any, message: str) -> None:
        """Assert that two values are the same."""
        self(found == expected, message, found=found, expected=expected)

    def refuses(self, action: Callable[[], Any], words: Sequence[str], message: str) -> None:
        """Assert that `action` fails, and with one of these words in its error."""
        try:
            answer = action()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            self(any(word.lower() in said.lower() for word in words), message, error=said)
        else:
            self(False, message, answer=answer)

    def attach(self, name: str, data: Any) -> None:
        """Keep data for the report's figures."""
        self.attached[name] = data

    def skip(self, reason: str) -> None:
        raise Skip(reason)


def short(value: Any, limit: int = 400) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


@dataclass(frozen=True)
class Proof:
    """One proof; `name` is `subject.function`."""

    name: str
    subject: str
    about: str
    needs: tuple[str, ...]
    function: Callable[[Platform, Check], None]


@dataclass
class Result:
    """What came out of a proof; `assertions` counts, `asserted` names them."""

    name: str
    subject: str
    assertions: int
    result: str
    cause: str
    seconds: float
    about: str = ""
    asserted: list[str] = field(default_factory=list)
    attached: dict[str, Any] = field(default_factory=dict)


REGISTRY: dict[str, Proof] = {}


def proof(
    subject: str, needs: Sequence[str] = ()
) -> Callable[[Callable[[Platform, Check], None]], Callable[[Platform, Check], None]]:
    """Register a proof; `needs` names proofs without which this one makes no sense."""

    def register(function: Callable[[Platform, Check], None]) -> Callable[[Platform, Check], None]:
        name = f"{subject}.{function.__name__}"
        about = " ".join((function.__doc__ or "").split("\n\n")[0].split())
        if not about:
            raise ValueError(f"proof {name} has no docstring: say what holds")
        REGISTRY[name] = Proof(name, subject, about, tuple(needs), function)
        return function

    return register


def discover() -> list[Proof]:
    """All proofs, in the order of the subjects and of their files."""
    folder = Path(__file__).parent / "subjects"
    for path in sorted(folder.glob("[a-z]*.py")):
        importlib.import_module(f"proofs.subjects.{path.stem}")
    order = {subject: place for place, subject in enumerate(SUBJECTS)}
    return sorted(REGISTRY.values(), key=lambda entry: order.get(entry.subject, len(order)))


SUBJECTS = (
    "platform", "data", "training", "tuning", "serving", "rollout", "experiments", "reaction", "feedback",
    "drift", "monitoring",
)  # fmt: skip
"""The order in which subjects are proven; others follow."""


def choose(
    proofs: Sequence[Proof], only: Sequence[str] | None, without: Sequence[str] | None = None
) -> list[Proof]:
    """Those whose subject or name matches a word of `only` (wildcards allowed; None is all) and none of
    `without`; a word that fits nothing is refused.
    """
    for word in [*(only or ()), *(without or ())]:
        if not any(fits(entry, word) for entry in proofs):
            known = sorted({entry.subject for entry in proofs}) + [entry.name for entry in proofs]
            raise ValueError(f"no proof is called '{word}'; there are: {', '.join(known)}")
    return [
        entry
        for entry in proofs
        if (not only or any(fits(entry, word) for word in only))
        and not any(fits(entry, word) for word in without or ())
    ]


def fits(entry: Proof, word: str) -> bool:
    return entry.subject == word or fnmatch.fnmatch(entry.name, word)


def prove(
    platform: Platform,
    only: Sequence[str] | None = None,
    deadline: float | None = None,
    progress: Progress | None = None,
    proofs: Sequence[Proof] | None = None,
) -> list[Result]:
    """Run the chosen proofs one after another; what `deadline` (seconds) cuts off is listed as not run."""
    progress = progress or Silent()
    chosen = choose(discover() if proofs is None else proofs, only)
    until = time.monotonic() + deadline if deadline is not None else None
    results: dict[str, Result] = {}
    for entry in chosen:
        if unmet := obstacle(entry, results, until):
            results[entry.name] = Result(entry.name, entry.subject, 0, *unmet, 0.0, entry.about)
            continue
        progress.begin(f"proof {entry.name}")
        result = run_one(entry, platform, until)
        results[entry.name] = result
        progress.end(f"proof {entry.name}", note(result))
    return list(results.values())


def obstacle(entry: Proof, results: dict[str, Result], until: float | None) -> tuple[str, str] | None:
    """What stands for a run of this proof, and why; None when it is run.

    What needs a proof that was skipped is skipped for the same reason.
    """
    if until is not None and time.monotonic() >= until:
        return NOT_RUN, "the deadline cut it off"
    needed = [results[need] for need in entry.needs if need in results]
    missing = [need.name for need in needed if need.result not in (PASSED, SKIPPED)]
    if missing:
        return NOT_RUN, f"it needs {', '.join(missing)}, which did not pass"
    skipped = next((need for need in needed if need.result == SKIPPED), None)
    return (SKIPPED, skipped.cause) if skipped else None


def note(result: Result) -> str:
    if result.result == PASSED:
        return f"{result.assertions} assertions"
    return f"{result.result.upper()}: {result.cause.splitlines()[0] if result.cause else ''}"


def run_one(entry: Proof, platform: Platform, until: float | None) -> Result:
    """Run one proof in a thread of its own, so that one that hangs cannot outstay the deadline."""
    check, outcome, began = Check(), [FAILED, ""], time.monotonic()

    def body() -> None:
        outcome[:] = attempt(entry, platform, check)

    thread = threading.Thread(target=body, name=entry.name, daemon=True)
    thread.start()
    thread.join(None if until is None else max(until - time.monotonic(), 0))
    if thread.is_alive():
        outcome = [FAILED, "it was not done when the deadline came"]
    seconds = round(time.monotonic() - began, 2)
    return Result(
        entry.name,
        entry.subject,
        len(check.asserted),
        outcome[0],
        outcome[1],
        seconds,
        entry.about,
        list(check.asserted),
        dict(check.attached),
    )


def attempt(entry: Proof, platform: Platform, check: Check) -> list[str]:
    """`[result, cause]` of one run."""
    try:
        entry.function(platform, check)
    except Skip as reason:
        return [SKIPPED, str(reason)] if str(reason) else [FAILED, "it was skipped without a reason"]
    except Broken as broken:
        return [FAILED, str(broken)]
    except Exception as error:
        return [FAILED, f"{type(error).__name__}: {error} (at {place_of(error, entry)})"]
    if not check.asserted:
        return [FAILED, "it asserted nothing"]
    return [PASSED, ""]


def place_of(error: Exception, entry: Proof) -> str:
    """The line of the proof's own file, not of the library that raised."""
    own = entry.function.__code__.co_filename
    frames = traceback.extract_tb(error.__traceback__)
    where = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(where.filename).name}:{where.lineno}"


def ok(results: Sequence[Result]) -> bool:
    """Every chosen proof holds, and at least one ran: no proof at all is not a pass."""
    return all(map(holds, results)) and any(entry.result == PASSED for entry in results)


def holds(entry: Result) -> bool:
    """It passed and asserted something, or was skipped with a recorded reason."""
    if entry.result == PASSED:
        return entry.assertions > 0
    return entry.result == SKIPPED and bool(entry.cause)


def brief(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results for a script: `{name, subject, assertions, result, cause, seconds}`."""
    keys = ("name", "subject", "assertions", "result", "cause", "seconds")
    return [{key: value for key, value in asdict(entry).items() if key in keys} for entry in results]
