"""What is done about which alert: rules, and the limits that keep the reaction from going in circles."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from workloads.common import HopelessError

ROLLBACK, RETRAIN, PAGE, NOTHING = "rollback", "retrain", "page", "nothing"
CHANGES = (ROLLBACK, RETRAIN)
"""Actions that change what is served, the more urgent first."""
AGAINST = "against"
MONTHS = {part: f"{part}_months" for part in ("train", "validation", "test")}
"""Settings of `train_delay` that a retraining is given: which version it is compared with, and its months."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(text: Any) -> timedelta:
    """`90s`, `15m`, `2h` or `1d`."""
    match = re.fullmatch(r"(\d+)([smhd])", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("write a duration as 90s, 15m, 2h or 1d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    """An unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """What to do about alerts with these labels."""

    name: str = Field(min_length=1)
    match: dict[str, str | list[str]] = Field(min_length=1)
    """Label → its value, or the values that it may have; all of them must fit."""
    action: Literal["rollback", "retrain", "page"]
    after: Duration = timedelta(0)
    """For so long the alert must have been firing."""

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether an alert with these labels is one of the rule's."""
        return all(
            labels.get(label) in (value if isinstance(value, list) else [value])
            for label, value in self.match.items()
        )


class Months(_Strict):
    """How many whole months of the load a retraining takes: the newest are tested on."""

    train: int = Field(ge=1)
    """Those before the ones that are validated on."""
    validation: int = Field(default=1, ge=1)
    """Those before the ones that are tested on."""
    test: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _of_a_year(self) -> "Months":
        if self.together > 12:
            raise ValueError(
                f"train_delay tells months apart by their number: no more than 12, it is {self.together}"
            )
        return self

    @property
    def together(self) -> int:
        return self.train + self.validation + self.test


class Training(_Strict):
    """How `train_delay` is run for a retraining; its data is the last load."""

    config: Literal["reference", "tiny"] = "reference"
    months: Months | None = None
    """Of the load; those of the configuration where it is none."""
    set: dict[str, str] = Field(default_factory=dict)
    """Other values of its settings."""
    ranks: int = Field(default=2, ge=1)
    deadline: Duration = timedelta(hours=2)
    gain: float = Field(default=0.0, ge=0)
    """By more log-loss than this the new version must be better, with 95 % confidence."""
    steps: list[float] | None = None
    """Percent of the requests that its canary gets one after another; those of `promote` where it is none."""
    requests: int = Field(default=100, ge=1)
    """That it must answer in each of them."""
    patience: Duration = timedelta(minutes=5)
    """For so long each of them waits for those."""

    @model_validator(mode="after")
    def _said_once(self) -> "Training":
        """The served version and, where they are chosen, the months are for the reaction to name."""
        taken = {AGAINST, *(MONTHS.values() if self.months else ())} & set(self.set)
        if taken:
            raise ValueError(f"set may not have {', '.join(sorted(taken))}: a retraining sets it by itself")
        return self


class Policy(_Strict):
    """The rules, the first that fits counts, and what bounds them."""

    rules: list[Rule] = Field(min_length=1)
    cooldown: Duration = timedelta(hours=1)
    """After an action nothing is done to the model; after a page nobody is told again of the same alert."""
    per_day: int = Field(default=3, ge=1)
    """Actions that change a model, in any 24 hours."""
    at_limit: Literal["page", "nothing"] = "page"
    """What is done instead of one more."""
    stale: Duration = timedelta(hours=5)
    """An alert that was not repeated for so long counts as over: more than Alertmanager's repeat_interval."""
    training: Training = Training()

    def rule_of(self, labels: dict[str, str]) -> Rule | None:
        """The rule that counts for an alert with these labels."""
        return next((rule for rule in self.rules if rule.fits(labels)), None)


def parse(text: str, what: str = "the policy") -> Policy:
    """The policy that a YAML file says.

    Raises:
        HopelessError: it is none; the error says where and why.
    """
    try:
        return Policy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise HopelessError(f"{what} is not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
        raise HopelessError("\n  ".join([f"{what} is not valid:", *lines])) from error
