"""`seatrial up`: from a bare machine to a platform that has done its first piece of work."""

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from client.uses import require_unused
from infra.parts import ALL, Part
from local import engine
from local.cluster import Cluster, down_all, find_leftovers
from local.images import Image
from seatrial import first_work, provision, setup
from seatrial.connection import connect
from seatrial.console import ConsoleProgress, duration, out
from seatrial.context import CHECKOUT, LOCAL_STACK, cluster_name, owner, reports, require_bare_machine
from seatrial.parts import USUAL, PartsOption, WithOption, chosen, needs, remember, variables
from seatrial.prove import run_proofs
from seatrial.together import together
from seatrial.wanted import addon_images, platform_images

LATER = (
    "training.a_full_object_store_is_named_and_loses_nothing",
    "training.killed_horovod_ends_like_an_uninterrupted_one",
    "training.elastic_horovod_goes_on_without_a_lost_worker",
    "training.a_killed_tensorflow_training_ends_like_an_uninterrupted_one",
    "monitoring.every_dead_server_is_told_of",
    "monitoring.every_other_alert_is_told_of",
    "monitoring.half_an_hour_of_load_raises_no_alarm",
    "monitoring.a_dead_prometheus_is_told_of",
)
"""Proofs that are not run here: together they take an hour."""
AGAIN = "training.a_training_runs_now"
"""A proof that is not run here on a platform that has just trained its first model, which others judge."""


def up(
    parts: PartsOption = USUAL,
    besides: WithOption = "",
    install: Annotated[bool, typer.Option(help="Install packages and build what is missing.")] = True,
    prove: Annotated[bool, typer.Option(help="Run the proofs and report.")] = True,
) -> None:
    """Build what is missing, start the cluster, run `pulumi up -s local`, a first workload and the proofs.

    A part that is there and not named is removed, unless something uses it. Quick where nothing is to be
    done, and safe to interrupt: the next run carries on.
    """
    wanted = chosen(parts, besides)
    require_bare_machine("up")
    began = time.monotonic()
    changed, worked = bring_up(wanted, install)
    out.print(f"the platform is up after {duration(time.monotonic() - began)}")
    if prove and (changed or not proven()):
        without = [*LATER, AGAIN] if "train_delay" in worked else LATER
        run_proofs(LOCAL_STACK, reports(LOCAL_STACK), without=without, timeline=timeline())
        out.print(f"left to `make prove`, as too long or just seen: {', '.join(without)}")
    elif not changed:
        out.print("nothing was changed; `make prove` runs the proofs again")
    out.print("look around:  seatrial status   ·   seatrial open mlflow|trino|prometheus   ·   make down")


def bring_up(parts: Collection[Part], install: bool) -> tuple[bool, list[str]]:
    """Tools and images, cluster, platform, first work: in that order, each skipped where it is there.

    Returns whether anything of the platform was changed or run, and which workloads ran.
    """
    lacking = setup.missing(parts)
    setup.require_disk(lacking)
    planned = setup.seconds(lacking) + provision.EXPECTED_SECONDS + first_work.EXPECTED_SECONDS
    with ConsoleProgress(planned_seconds=planned) as progress:
        cluster = Cluster(cluster_name(), needs(parts))
        setup.prepare_packages(progress, install)
        down_all(find_leftovers(), progress)
        cluster.require_possible()
        tools = setup.prepare(_images_first(cluster, parts), progress, install)
        cluster.up(tools, progress, tied_to=owner())
        with connect(LOCAL_STACK) as platform:
            require_unused(platform, [part for part in ALL if part not in parts])
        setup.prepare_images(platform_images(parts), progress, install)
        setup.prepare_manifests(progress, parts)
        remember(cluster_name(), parts)
        prepared = engine.environment(cluster_name(), CHECKOUT, tools) | variables(cluster_name())
        changes = provision.up(LOCAL_STACK, prepared, progress, timeline())
        with connect(LOCAL_STACK) as platform:
            worked, _ = together(
                lambda: first_work.do(platform, LOCAL_STACK, progress),
                lambda: setup.drop_build_caches(progress),
            )
    return bool(worked) or any(operation != "same" for operation in changes), worked


def _images_first(cluster: Cluster, parts: Collection[Part]) -> list[Image]:
    """What is built before the cluster runs: for a new one all, since it takes processor time even idle.

    One that has run before may refuse these parts, which it is asked before the others are built.
    """
    return [*addon_images(), *([] if cluster.state.exists() else platform_images(parts))]


def timeline() -> Path:
    """When each resource of the last `pulumi up` began and how long it took."""
    return reports(LOCAL_STACK) / "provisioning.json"


def proven() -> bool:
    """Whether the last report of this cluster's platform says that all holds that its parts can show."""
    from proofs import run

    try:
        written = json.loads((reports(LOCAL_STACK) / "proofs.json").read_text())
        report = [run.Result(**entry) for entry in written]
    except (FileNotFoundError, TypeError, ValueError):  # TypeError: another release wrote it.
        return False
    return bool(report) and all(run.holds(entry) for entry in report)
