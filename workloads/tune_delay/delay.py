"""What is tuned: the classifier of `train_delay`, trained in one process. No other file here knows it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from workloads import common
from workloads.train_delay import metrics
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Data, Source, locate, read, split
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.model import DelayClassifier, weights_hash
from workloads.train_delay.tracking import Run
from workloads.train_delay.training import logits

HERE = Path(__file__).parent
Parameters = Mapping[str, Any]
Tell = Callable[[int, dict[str, float]], None]


@dataclass
class Delay:
    """The data, read when it is first needed, and what is done with it."""

    training: TrainDelay
    snapshot: int | None = None

    @cached_property
    def source(self) -> Source:
        return locate(self.training, self.snapshot, None)

    @cached_property
    def prepared(self) -> tuple[Preprocessing, dict[str, Data]]:
        return split(self.training, read(self.training, self.source), torch.from_numpy)

    def identity(self) -> dict[str, Any]:
        """What makes two trials with the same parameters equal: data and code."""
        code = [common.code_hash(folder) for folder in (HERE, HERE.parent / "train_delay")]
        return {"source": asdict(self.source.content), "code": code}

    def fit(self, parameters: Parameters, tell: Tell) -> DelayClassifier:
        """Train with these parameters; after each epoch `tell` hears the epoch (from 1) and the figures.

        The same parameters give the same weights: the seed is the training's, not the trial's.
        """
        chosen = settings(self.training, parameters)
        preprocessing, data = self.prepared
        torch.manual_seed(chosen.seed)
        network = DelayClassifier(preprocessing.sizes, preprocessing.numeric, chosen.hidden)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=chosen.learning_rate, weight_decay=parameters["weight_decay"]
        )
        loss_of = torch.nn.BCEWithLogitsLoss()
        inputs, labels = data["train"].inputs, data["train"].labels
        order = torch.Generator().manual_seed(chosen.seed)
        for epoch in range(1, chosen.epochs + 1):
            network.train()
            for rows in torch.randperm(len(labels), generator=order).split(chosen.batch):
                loss = loss_of(network(inputs[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            tell(epoch, figures(network, data["validation"]))
        return network

    def register(
        self,
        study: str,
        parameters: Parameters,
        tags: Mapping[str, str],
        artifacts: Mapping[str, Any],
        value: float,
    ) -> dict[str, Any]:
        """Train once more with these parameters, and register the model as `train_delay` does.

        `tags` go on the run and on the version beside the lineage, `artifacts` (name → what becomes JSON or
        text) into the run. The training gives `value` again, on the same kind of processor bit by bit. The
        run is the study's: when a worker is killed in here, the next one takes it up and adds what it lacks.
        """
        run = Run(settings(self.training, parameters), self.source.content, study)
        try:
            run.lineage |= dict(tags)
            run.recorder.series("trial_value", [value])
            with run.calls():
                run.mlflow.set_tags(dict(tags))
                for name, content in artifacts.items():
                    keep = run.mlflow.log_text if isinstance(content, str) else run.mlflow.log_dict
                    keep(content, name)
            network = self.fit(parameters, telling(run))
            preprocessing, data = self.prepared
            done = run.finish(network, preprocessing, data["test"], [weights_hash(network)])
        except BaseException:
            run.fail()
            raise
        return {name: done[name] for name in ("run_id", "model", "version")}


def telling(run: Run) -> Tell:
    """Writes the figures of each epoch into the run, whose epochs count from 0."""
    told: dict[str, list[float]] = defaultdict(list)

    def tell(_: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            told[name].append(value)
            run.recorder.series(name, told[name])

    return tell


def settings(training: TrainDelay, parameters: Parameters) -> TrainDelay:
    """The training's settings with the parameters that are among them."""
    known = {name: value for name, value in parameters.items() if hasattr(training, name)}
    return replace(training, **known)


def figures(network: DelayClassifier, data: Data) -> dict[str, float]:
    """Loss and ROC-AUC on one set of rows."""
    said = logits(network, data)
    loss = torch.nn.BCEWithLogitsLoss()(said, data.labels)
    return {
        "validation_loss": float(loss),
        "validation_roc_auc": metrics.roc_auc(data.labels.numpy(), said.numpy()),
    }
