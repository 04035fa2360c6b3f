"""The process of a pod: open the file, serve until SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import uvicorn

from workloads import common
from workloads.common import log
from workloads.receive_alerts import config
from workloads.receive_alerts.api import Receiver, application
from workloads.receive_alerts.config import ReceiveAlerts
from workloads.receive_alerts.heart import Heart, post
from workloads.receive_alerts.store import Store
from workloads.settings import changed


def serve(settings: ReceiveAlerts) -> dict[str, Any]:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = Store(Path(settings.folder), settings.keep)
    receiver = Receiver(settings, store, Heart(settings, store.last_beat(), post))
    log("serving", port=settings.port, last_heartbeat=store.last_beat())
    uvicorn.run(
        application(receiver),
        host="0.0.0.0",
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    return {"ended": "on request"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args()
    common.run(lambda: serve(changed(getattr(config, given.config)(), given.set)))


if __name__ == "__main__":
    main()
