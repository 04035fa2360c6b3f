"""Waits for a database that is not there yet."""

import time
from collections.abc import Callable

import psycopg

from workloads.common import WorkloadError, log


def once_answered(ask: Callable[[], object], patience: float) -> None:
    """Do what asks a PostgreSQL database something, again each second until the database answers.

    Raises:
        WorkloadError: it did not answer within `patience` seconds.
    """
    until = time.monotonic() + patience
    while True:
        try:
            ask()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                raise WorkloadError(f"the database did not answer within {patience:g} s: {error}") from error
            log("waiting for the database", cause=f"'{str(error).strip()}'")
        time.sleep(1)
