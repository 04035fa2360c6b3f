"""The process of a pod: open the file, serve until SIGTERM."""

import argparse
import time
from pathlib import Path
from typing import Any

from workloads import common, web
from workloads.common import log
from workloads.receive_alerts import config
from workloads.receive_alerts.api import Receiver, application
from workloads.receive_alerts.config import ReceiveAlerts
from workloads.receive_alerts.heart import Heart, Listener, notification, post
from workloads.receive_alerts.store import Store
from workloads.settings import changed


def serve(settings: ReceiveAlerts) -> dict[str, Any]:
    """Serve until SIGTERM."""
    web.end_on_request()
    store = Store(Path(settings.folder), settings.keep)
    receiver = Receiver(settings, store, Heart(settings, store.last_beat(), listeners(settings, store)))
    log("serving", port=settings.port, last_heartbeat=store.last_beat())
    web.serve(application(receiver), settings.port)
    return {"ended": "on request"}


def listeners(settings: ReceiveAlerts, store: Store) -> list[Listener]:
    """The file, where all other alerts are too, and who is outside."""
    url = settings.notify_url
    kept = Listener("the file", lambda alert: store.keep([alert], time.time()))
    return [kept, *([Listener(url, lambda alert: post(url, notification(alert)))] if url else [])]


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
