"""Serves one version of one model: python -m serve_model.main --name delay --version 3 --folder /mnt/models

Ends with status 0 some seconds after SIGTERM: first it says that it is not ready, so that no new connections
come, then it closes its ports and finishes what is under way.
"""

import argparse
import asyncio
import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from kserve.logging import KSERVE_LOG_CONFIG, configure_logging
from kserve.model_repository import ModelRepository

from .metrics import Series
from .model import Loaded, WrongFiles
from .rest import Rest
from .rpc import Rpc
from .served import Plane, Served
from .signature import Unservable

log = logging.getLogger("serve_model")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--name", required=True, help="What the protocols call the model.")
    parser.add_argument("--version", default="0", help="Told in each answer.")
    parser.add_argument("--folder", type=Path, default=Path("/mnt/models"), help="The MLflow model.")
    parser.add_argument("--digest", help="Of the files; a model with another one is not served.")
    parser.add_argument("--http-port", type=int, default=8080)
    parser.add_argument("--grpc-port", type=int, default=8081)
    parser.add_argument("--drain", type=float, default=5, help="Seconds between SIGTERM and closed ports.")
    parser.add_argument("--grace", type=int, default=20, help="Seconds that are left to requests then.")
    return parser.parse_args(given)


async def serve(served: Served, series: Series, given: argparse.Namespace) -> None:
    """Answer until SIGTERM or SIGINT."""
    models = ModelRepository()
    models.update(served)
    plane = Plane(models)
    rest = Rest(served, plane, series, given.http_port, given.grace)
    rpc = Rpc(served, plane, series, given.grpc_port)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await rpc.start()
    serving = asyncio.create_task(rest.start())
    waiting = asyncio.create_task(told.wait())
    log.info("%s, version %s, is served", served.name, served.version)
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        plane.draining = True
        log.info("told to end: not ready any more, closing in %s s", given.drain)
        await asyncio.sleep(given.drain)
        rest.end()
        await rpc.end(given.grace)
    await serving


def main(given: Sequence[str] | None = None) -> None:
    asked = arguments(given)
    configure_logging(KSERVE_LOG_CONFIG)
    log.setLevel(logging.INFO)
    log.handlers = logging.getLogger("kserve").handlers
    # KServe's endpoints for V1 answer by a class that FastAPI is about to drop; it says so at each request.
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
    try:
        loaded = Loaded(asked.folder, asked.digest)
    except (WrongFiles, Unservable) as error:
        sys.exit(f"{asked.name}, version {asked.version}, is not served: {error}")
    series = Series(asked.name, asked.version)
    asyncio.run(serve(Served(asked.name, asked.version, loaded, series), series, asked))


if __name__ == "__main__":
    main()
