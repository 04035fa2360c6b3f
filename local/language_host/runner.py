"""Runs a Pulumi program in the project's own Python, which need not know this package.

What Pulumi promises a program's author: `pulumi.RunError` is printed as its message alone, any other
exception with the part of its traceback that lies in the program.
"""

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if sys.path[0] == str(Path(__file__).parent):
    del sys.path[0]  # Neighbours of this file must not hide modules of the program.

import pulumi
from pulumi import runtime

_CHECK_SECONDS = 0.5
SAID = 32
"""Exit status of a program that has told its user what is wrong (Pulumi's own convention)."""


def main() -> int:
    """Run the ordered program; returns the exit status."""
    threading.Thread(target=_end_with_the_host, args=(os.getppid(),), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    order = json.loads(os.environ.pop("SEATRIAL_PROGRAM"))
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(runtime.Settings(**order["settings"]))
    sys.argv = [order["program"], *order["arguments"]]
    if order["pwd"]:
        os.chdir(order["pwd"])
    # After a failure many futures are left unawaited on purpose; asyncio would report each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return _run(order["program"], order["settings"]["parallel"])


def _run(program: str, parallel: int) -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Requests under way: four for each operation that the engine does at once, as the vendor has it.
    executor = ThreadPoolExecutor(max_workers=max(parallel, 1) * 4)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(
            runtime.run_in_stack(lambda: _no_result(runpy.run_path(program, run_name="__main__")))
        )
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return SAID
    except Exception:
        pulumi.log.error(f"the program failed with an exception:\n{_own_traceback(program)}")
        return SAID
    finally:
        executor.shutdown(wait=True)
        loop.close()
    return 0


def _end_with_the_host(host: int) -> None:
    while os.getppid() == host:
        time.sleep(_CHECK_SECONDS)
    os._exit(1)


def _no_result(_: dict[str, Any]) -> None:
    """What a module defines is not what the program exports."""


def _own_traceback(program: str) -> str:
    """The exception being handled, from the program's first frame on."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    start = Path(program, "__main__.py") if Path(program).is_dir() else Path(program)
    for index, frame in enumerate(frames):
        if Path(frame.filename) == start:
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


if __name__ == "__main__":
    sys.exit(main())
