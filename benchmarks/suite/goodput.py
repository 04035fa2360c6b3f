"""What part of its time a training that is killed three times spends on steps that are kept.

`killed` is `train_delay` as a TrainJob of two pods, of which a rank is killed at three steps drawn by lot;
`undisturbed` is the same, shorter and left alone. From it comes how long the platform takes at least to start
such a training. Best possible is then what would be left if each kill cost no more than such a start and half
of the steps between two checkpoints:

    goodput        = seconds of kept steps / seconds from submission to end
    best possible  = 1 - kills x (interval / 2 x step + shortest start) / seconds from submission to end

A step is a step with its share of the validation after each epoch.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import attempt
from benchmarks.benchmark import Benchmark, Metric, Plan, Taken, Turn
from benchmarks.killed import Kill, Training, launch
from benchmarks.pods import Printed, Reading, launching, of_kind, pair, records, seen
from client import Platform

NAME = "bench-goodput"
RANKS = 2
KILLS = 3
STEPS_AN_EPOCH = 64
EPOCHS = {"killed": 96, "undisturbed": 6}
CONFIG: dict[str, str | int | float | bool] = {
    "model": NAME,
    "batch": 2048,
    "rows": STEPS_AN_EPOCH * 2048,
    "hidden": 768,
    "log_every": 8,
    "checkpoint_every": 32,
    "seed": 13,
}
PARTS = ("launch", "import", "meet", "take_up", "read", "restore", "first_steps")
"""Of a pod's way to its first steps, as `train_delay` tells them."""
CAUSES = ("detect", "reschedule", "pod", *PARTS, "redo")
MARGIN = 0.05
"""Share of the steps at the start and at the end that no kill is drawn from."""


@dataclass(frozen=True)
class Trained(Reading):
    """What one training left; times in seconds."""

    wall: float = 0.0
    """From submission to end."""
    learned: float = 0.0
    """Spent on steps that were kept."""
    step: float = 0.0
    start: float = 0.0
    """From submission to the first step."""
    kills: int = 0


def read(text: str) -> Trained:
    """The figures of one side.

    Raises:
        BenchmarkError: the output is empty, torn or not whole.
    """
    found = records(text)
    training = of_kind(found, "training", 1)[0]
    kills = [entry for entry in found if entry["bench"] == "kill"]
    attempts = of_kind(found, "attempt", int(found[-1]["kills"]) + 1)
    step = training["learned_seconds"] / training["steps"]
    wall = training["done"] - training["submitted"]
    told = training["settings"]["log_every"] * step
    starting = start(training, attempts[0], told)
    values = {
        "train.goodput": [training["learned_seconds"] / wall],
        "train.step": [1000 * step],
        "train.start": [sum(starting.values())],
        "train.restarts_unasked": [float(training["restarts"] - len(kills))],
        **{f"train.start_by_part/{part}": [seconds] for part, seconds in starting.items()},
    }
    for kill, (before, after) in zip(kills, itertools.pairwise(attempts), strict=True):
        causes = recovery(kill, before, after, told)
        values.setdefault("train.recovery", []).append(sum(causes.values()))
        for cause, seconds in causes.items():
            values.setdefault(f"train.recovery_by_cause/{cause}", []).append(seconds)
    return Trained(
        values,
        seen(found),
        wall=wall,
        learned=training["learned_seconds"],
        step=step,
        start=sum(starting.values()),
        kills=len(kills),
    )


def start(training: dict[str, Any], first: dict[str, Any], told: float) -> dict[str, float]:
    """Seconds from submission to the first step, by part; `told` are those of the first steps themselves."""
    new = attempt.told(first)
    parts = {
        "create": first["made"] - training["submitted"],
        "pod": new.container - first["made"],
        **{name: new.parts[name] for name in PARTS},
    }
    parts["first_steps"] -= told
    return parts


def recovery(
    kill: dict[str, Any], before: dict[str, Any], after: dict[str, Any], told: float
) -> dict[str, float]:
    """Seconds from a kill to where the training was then, by cause; `told` are those of the first steps."""
    old, new = attempt.told(before), attempt.told(after)
    kept = old.state_taken(new.resumed)
    parts = {
        "detect": kill["failed"] - kill["at"],
        "reschedule": after["made"] - kill["failed"],
        "pod": new.container - after["made"],
        **{name: new.parts[name] for name in PARTS},
        "redo": kill["at"] - (old.learns_since - told if kept is None else kept),
    }
    parts["first_steps"] -= told
    return parts


def under_kill(killed: Trained, undisturbed: Trained) -> float:
    """Goodput as a share of the best possible."""
    lost = float(CONFIG["checkpoint_every"]) / 2 * killed.step + undisturbed.start
    best = 1 - killed.kills * lost / killed.wall
    return killed.learned / killed.wall / best


def kills(seed: int, turn: Turn) -> tuple[Kill, ...]:
    """Of which rank at which step; one in each third of the training, the same for the same seed."""
    dice = np.random.default_rng([seed, turn.number, KILLS])
    steps = EPOCHS["killed"] * STEPS_AN_EPOCH
    places = (np.arange(KILLS) + dice.random(KILLS)) / KILLS
    return tuple(
        Kill(int(dice.integers(RANKS)), int(steps * (MARGIN + (1 - 2 * MARGIN) * place))) for place in places
    )


def training(plan: Plan, turn: Turn, side: str) -> Training:
    epochs = EPOCHS[side]
    return Training(
        name=NAME,
        image=plan.image,
        ranks=RANKS,
        settings={**CONFIG, "epochs": epochs},
        last_look=0 if side == "killed" else epochs * STEPS_AN_EPOCH // 2,
        kills=kills(plan.seed, turn) if side == "killed" else (),
    )


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    with launching(platform, "goodput"):
        for turn in plan.turns():

            def launched(side: str, turn: Turn = turn) -> Printed:
                return launch(platform, training(plan, turn, side))

            taken, readings = pair(turn, launched, read)
            share = under_kill(readings["killed"], readings["undisturbed"])
            killed = {**taken.values["killed"], "train.goodput_under_kill": [share]}
            yield replace(taken, values={**taken.values, "killed": killed})


BENCHMARK = Benchmark(
    name="goodput",
    about="The share of its time that a training spends on kept steps while its ranks are killed.",
    needs=("training",),
    sides=("killed", "undisturbed"),
    pairs=2,
    metrics=(
        Metric(
            id="train.goodput_under_kill",
            about=f"Goodput under {KILLS} kills / the best possible.",
            unit="ratio", better="higher", tier=2, role="gate", compared=False,
        ),
        Metric(
            id="train.recovery",
            about="From a kill until the training is where it was.",
            unit="s", better="lower", tier=2, role="gate", compared=False,
        ),
        Metric(
            id="train.recovery_by_cause", about="The same, by what the time went to.", unit="s",
            better="lower", tier=2, role="trend", compared=False, cases=CAUSES,
        ),
        Metric(
            id="train.restarts_unasked", about="Restarts that no kill explains.", unit="count",
            better="lower", tier=0, role="gate", compared=False,
        ),
        Metric(
            id="train.goodput", about="Seconds of kept steps / seconds from submission to end.", unit="ratio",
            better="higher", tier=2, role="trend",
        ),
        Metric(
            id="train.step", about="A kept step.", unit="ms", better="lower", tier=2, role="trend",
        ),
        Metric(
            id="train.start", about="From submission to the first step.", unit="s", better="lower", tier=2,
            role="trend",
        ),
        Metric(
            id="train.start_by_part", about="The same, by what the time went to.", unit="s", better="lower",
            tier=2, role="trend", cases=("create", "pod", *PARTS),
        ),
    ),
    config={**CONFIG, "epochs": EPOCHS["killed"], "kills": KILLS},
    measure=measure,
)  # fmt: skip
