"""Opens the run of a training, at once or while the training goes on: loading MLflow alone takes seconds."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from workloads.common import log
from workloads.tracking import Run

AnyRun = TypeVar("AnyRun", bound=Run)


class Opening(Generic[AnyRun]):
    """The run that rank 0 has; on the other ranks `open_run` is None.

    Use it as a context, so that a failure is told to the run.
    """

    def __init__(self, open_run: Callable[[], AnyRun] | None) -> None:
        self.open_run = open_run
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="opening")
        self.opened: Future[AnyRun] | None = None

    def begin(self) -> None:
        """Open it without waiting; nothing on other ranks than 0, and the second time."""
        if self.open_run and self.opened is None:
            self.opened = self.thread.submit(self.open_run)

    def run(self) -> AnyRun:
        """The open run, on rank 0.

        Raises:
            WorkloadError: MLflow failed.
        """
        self.begin()
        assert self.opened is not None, "only rank 0 has a run"
        return self.opened.result()

    def wait(self) -> None:
        """Be sure that it is open, on rank 0; the run itself cannot be told to other ranks.

        Raises:
            WorkloadError: MLflow failed.
        """
        self.run()

    def ready(self) -> list[AnyRun]:
        """The run, once it is open; that it could not be opened `run` says."""
        there = self.opened is not None and self.opened.done() and self.opened.exception() is None
        return [self.run()] if there else []

    def __enter__(self) -> "Opening[AnyRun]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.open_run:
            try:
                self.run().fail(error)
            except Exception as unopened:
                log("no run to mark as failed", error=unopened)
        self.thread.shutdown()
