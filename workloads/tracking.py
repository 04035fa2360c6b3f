"""The MLflow run of a training on a platform: what it was made of, how it went, what came out.

Rank 0 alone has one; without a platform there is none.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workloads import common
from workloads.common import WorkloadError, log

MEASURED = ("quality", "speed", "rates")
"""The parts of a report whose numbers become metrics."""
CAUSE_LETTERS = 1000
"""MLflow takes no more than 5,000 in a tag."""


class Run:
    """One run; its numbers are written behind the training's back, many in a request.

    With the id of a `training`, one that is taken up again goes on in the run that it began. It may be opened
    in another thread than the one that ends it.
    """

    def __init__(
        self, experiment: str, tags: dict[str, str], parameters: dict[str, Any], training: str | None = None
    ) -> None:
        self.mlflow = common.mlflow()
        from workloads.recorder import Recorder

        with self.calls():
            self.mlflow.set_experiment(experiment)
            begun = self._begun(training) if training else None
            if begun:
                self.restarts = int(begun.data.tags["restarts"]) + 1
                self.mlflow.start_run(begun.info.run_id, tags={"restarts": str(self.restarts)})
            else:
                self.restarts = 0
                named = {"training": training, "restarts": "0"} if training else {}
                self.mlflow.start_run(tags={**named, **tags})
                self.mlflow.log_params(parameters)
            self.id: str = self.mlflow.active_run().info.run_id
            self.recorder = Recorder(self.mlflow.tracking.MlflowClient(), self.id)

    def _begun(self, training: str) -> Any:
        found = self.mlflow.search_runs(filter_string=f"tags.training = '{training}'", output_format="list")
        return found[0] if found else None

    def be_active(self) -> None:
        """Make it the one that MLflow's own calls write to, which each thread has for itself."""
        if self.mlflow.active_run() is None:
            self.mlflow.start_run(self.id)

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Failures of the server are reported as that."""
        try:
            yield
        except Exception as error:
            raise WorkloadError(
                f"MLflow at {common.env('MLFLOW_TRACKING_URI')} failed: {type(error).__name__}: {error}"
            ) from error

    def series(self, name: str, values: Sequence[float]) -> None:
        """The values of a series so far, a step each; nobody waits for the server."""
        self.recorder.series(name, values)

    def check(self) -> None:
        """Fail if something could not be written; nobody waits for what is on its way."""
        with self.calls():
            self.recorder.check()

    def report(self, report: dict[str, Any]) -> None:
        """Write what was measured as metrics, and all of the report as `report.json`."""
        for name, value in numbers({part: report[part] for part in MEASURED}).items():
            self.recorder.series(name, [value])
        with self.calls():
            self.recorder.flush()
            self.be_active()
            self.mlflow.log_dict(report, "report.json")
            self.mlflow.end_run()

    def fail(self, cause: BaseException | None = None) -> None:
        """Mark the run as failed, with the cause as its tag `last_failure`, if the server still listens."""
        try:
            self.be_active()
            if cause is not None:
                self.mlflow.set_tag("last_failure", (str(cause) or type(cause).__name__)[:CAUSE_LETTERS])
            self.recorder.flush()
            self.mlflow.end_run("FAILED")
        except Exception as error:
            log("could not mark the run as failed", error=error)


def lost(training: str, cause: str) -> None:
    """Mark the run of a training as failed whose ranks ended before they could; others are left as they are.

    Raises:
        Exception: what the client raises when the server does not do it.
    """
    client = common.mlflow().tracking.MlflowClient()
    everywhere = [each.experiment_id for each in client.search_experiments()]
    running = f"tags.training = '{training}' and attributes.status = 'RUNNING'"
    for run in client.search_runs(everywhere, running):
        client.set_tag(run.info.run_id, "last_failure", cause[:CAUSE_LETTERS])
        client.set_terminated(run.info.run_id, "FAILED")


def numbers(report: dict[str, Any], under: str = "") -> dict[str, float]:
    """The numbers of a nested report by names such as `speed.step_ms.median`, without lists and words."""
    found: dict[str, float] = {}
    for key, value in report.items():
        name = f"{under}.{key}" if under else key
        if isinstance(value, dict):
            found |= numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found
