"""Serves an ASGI application as the process of a pod."""

import signal
import sys
from typing import Any

import uvicorn


def end_on_request() -> None:
    """As the first process of a container this one has no handler of SIGTERM unless it says so. uvicorn takes
    over from this one while it serves, and raises the signal again when it has ended.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def serve(application: Any, port: int, *, keep_alive: int = 5, last_answers: int = 3) -> None:
    """Answer until SIGTERM; `keep_alive` and `last_answers` are seconds, the latter for what is under way."""
    uvicorn.run(
        application,
        host="0.0.0.0",
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=last_answers,
    )
