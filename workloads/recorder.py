"""Writes numbers to an MLflow run behind the back of what makes them, each number of a series once."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mlflow.entities import Metric

AT_ONCE = 1000
"""MLflow takes no more numbers in one request."""


class Recorder:
    """The series of one run; what an earlier attempt wrote is read once and not written again.

    One thread writes, so that numbers arrive in order.
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.there = {
            name: {entry.step for entry in client.get_metric_history(run_id, name)}
            for name in client.get_run(run_id).data.metrics
        }
        self.seen: dict[str, int] = {}
        """How many values of each series were handed over here."""
        self.writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self.pending: list[Future[Any]] = []

    def series(self, name: str, values: Sequence[float]) -> None:
        """The values of a series so far, by step from 0 on; those that are not written yet will be."""
        first, there, now = self.seen.get(name, 0), self.there.get(name, set()), int(time.time() * 1000)
        new = [Metric(name, value, now, step) for step, value in enumerate(values[first:], first)]
        new = [metric for metric in new if metric.step not in there]
        self.seen[name] = len(values)
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            self.pending.append(self.writer.submit(self.client.log_batch, self.run_id, metrics=part))

    def check(self) -> None:
        """Wait for nothing.

        Raises:
            Exception: what the client raised for a request that failed meanwhile.
        """
        over = [request for request in self.pending if request.done()]
        self.pending = [request for request in self.pending if request not in over]
        for request in over:
            request.result()

    def flush(self) -> None:
        """Wait until all is written.

        Raises:
            Exception: what the client raised for the first request that failed.
        """
        pending, self.pending = self.pending, []
        for request in pending:
            request.result()
