"""A change detector whose false alarms are rare by proof: an e-detector (Shin, Ramdas and Rinaldo 2023).

With a surprise r in [-1, 1] of mean 0, each factor 1 + λ r has mean 1, so the Shiryaev-Roberts sum

    M(t) = (1 + λ r(t)) (M(t-1) + 1)

has a mean of at most t: it counts all points at which a change may have begun. An alarm at M ≥ N comes, when
nothing has changed, after N events in the mean or later, whatever the distribution of r. Several λ of both
signs are averaged, as the size of the change is not known.
"""

LAMBDAS = (-0.95, -0.3, 0.3, 0.95)
"""What is bet on a change: 0.95 nearly doubles the stake at the largest surprise, 0.3 is for small changes.
Each more that is tried costs all of them some events."""


class EDetector:
    """Takes surprises; `events` is after how many of them in the mean it may give a false alarm."""

    def __init__(self, events: float = 1e7) -> None:
        if not events > 1:
            raise ValueError(f"events between false alarms must be more than 1, it is {events:g}")
        self.limit = events * len(LAMBDAS)
        self.sums = [0.0] * len(LAMBDAS)

    def update(self, surprise: float) -> bool:
        """Whether it is time for an alarm; after one it begins anew."""
        sums = [
            (1 + stake * surprise) * (so_far + 1) for stake, so_far in zip(LAMBDAS, self.sums, strict=True)
        ]
        if sum(sums) < self.limit:
            self.sums = sums
            return False
        self.sums = [0.0] * len(LAMBDAS)
        return True
