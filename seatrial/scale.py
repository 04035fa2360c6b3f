"""The options by which a command says how pods are scaled."""

from typing import Annotated

import typer

MaxReplicasOption = Annotated[
    int | None, typer.Option(min=1, help="The most of them, as many as --requests-per-second takes.")
]
RateOption = Annotated[
    float | None, typer.Option(min=0.001, help="What each of them is to get; with --max-replicas.")
]
