"""What is steered, how often, and by which rules."""

from dataclasses import dataclass

from workloads.common import HopelessError
from workloads.steer_traffic.bandit import Rules


@dataclass(frozen=True)
class SteerTraffic:
    """The bandit of one model. The values of `Rules` stand here too, so that `--set` reaches them."""

    model: str = "delay"
    """The HTTPRoute whose default rule is steered; its versions are the arms."""
    every: float = 5.0
    """Seconds between two looks at the log."""
    batch: int = 50
    """New known outcomes after which the weights are moved."""
    mature: float = 0.0
    """Seconds that a prediction must be old to count, also when its outcome is known: as long as the late
    outcomes take. Otherwise those that come early speak for all.
    """
    warm_up: int = Rules.warm_up
    margin: float = Rules.margin
    floor: float = Rules.floor
    most: float = Rules.most

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("every", self.every > 0, "above 0"),
            ("batch", self.batch >= 1, "at least 1"),
            ("mature", self.mature >= 0, "at least 0"),
            ("margin", 0 <= self.margin < 1, "from 0 to below 1"),
            ("floor", 0 <= self.floor <= 0.5, "from 0 to 0.5"),
            ("most", 0 < self.most <= 1, "above 0 and at most 1"),
        ):
            if not fits:
                raise HopelessError(f"setting {name} must be {wanted}, it is {getattr(self, name)}")

    @property
    def rules(self) -> Rules:
        return Rules(self.warm_up, self.margin, self.floor, self.most)


def reference() -> SteerTraffic:
    """Two arms that differ by 20 points: at least 90 % to the better one within 1,000 known outcomes."""
    return SteerTraffic()


def tiny() -> SteerTraffic:
    """Moves after 20 outcomes, and far: for trying the way itself."""
    return SteerTraffic(every=1.0, batch=20, warm_up=20, most=0.25)
