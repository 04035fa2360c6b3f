"""An A/B experiment as it is configured: a name, and arms with their shares of the users."""

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from workloads.booking_api.assignment import arm_of
from workloads.common import HopelessError

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""Fits a header and a label, for example `canary` or `delay-v4`."""
EXAMPLE = '{"name": "delay-v4", "arms": {"stable": 0.9, "canary": 0.1}}'


class Experiment(BaseModel):
    """Users are divided by `arms`; a request carries its user's arm, which the route of the model matches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    """Another name divides the users anew."""
    arms: dict[Name, Annotated[float, Field(ge=0, le=1)]] = Field(min_length=2)

    @field_validator("arms")
    @classmethod
    def _whole(cls, arms: dict[str, float]) -> dict[str, float]:
        if not math.isclose(sum(arms.values()), 1, abs_tol=1e-6):
            raise ValueError(f"the shares must add up to 1, they add up to {sum(arms.values()):g}")
        return arms

    def arm_of(self, user: str) -> str:
        """The arm that the user is in, always the same one."""
        return arm_of(self.name, self.arms, user)


def parse(text: str) -> Experiment | None:
    """The experiment that a configuration describes; None where it is empty.

    Raises:
        HopelessError: it is none; the error says why and shows one.
    """
    if not text.strip():
        return None
    try:
        return Experiment.model_validate_json(text)
    except ValidationError as error:
        causes = [
            f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        ]
        raise HopelessError(
            f"EXPERIMENT is not an experiment ({'; '.join(causes)}): {text}; write it like {EXAMPLE}"
        ) from error
