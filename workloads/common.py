"""What every workload needs: connections made from environment variables, seeds, hashes and a way to end that
says why.

The variables come from the Secret `platform-access`; nothing here knows where the platform runs.
"""

import gc
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TERMINATION_LOG = Path("/dev/termination-log")
MESSAGE_BYTES = 4000
"""Kubernetes keeps the first 4096 bytes of a termination message."""
LOAD_RECORD = "nycflights13/ingest.json"
"""Key, in the datasets bucket, of what the last load of the flights says of itself."""


HOPELESS = 3
"""Exit code of a workload that would fail in the same way however often it is started."""


class WorkloadError(Exception):
    """The workload cannot go on, for a reason that its owner can act on."""


class HopelessError(WorkloadError):
    """Nor could it if it were started again as it is."""


def env(name: str) -> str:
    """The variable `name`, which must be there."""
    value = os.environ.get(name)
    if not value:
        raise WorkloadError(
            f"environment variable {name} is not set; the pod takes it from the Secret platform-access"
        )
    return value


def s3() -> Any:
    """A boto3 client for the platform's object store."""
    import boto3
    from botocore.config import Config

    settings = Config(
        s3={"addressing_style": "path"}, retries={"max_attempts": 3}, connect_timeout=10, read_timeout=60
    )
    return boto3.client(
        "s3",
        endpoint_url=env("AWS_ENDPOINT_URL"),
        aws_access_key_id=env("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=env("AWS_SECRET_ACCESS_KEY"),
        region_name=os.environ.get("AWS_REGION", "us-east-1"),
        config=settings,
    )


def trino() -> Any:
    """A DB-API connection to Trino, by password over TLS."""
    import requests
    from trino.auth import BasicAuthentication
    from trino.dbapi import connect

    # REQUESTS_CA_BUNDLE in the environment would win over `verify`, if the session trusted it.
    session = requests.Session()
    session.trust_env = False
    session.verify = authorities() or True
    url = urlsplit(env("TRINO_URL"))
    secure = url.scheme == "https"
    return connect(
        host=url.hostname,
        port=url.port or (443 if secure else 80),
        http_scheme=url.scheme,
        user=env("TRINO_USER"),
        auth=BasicAuthentication(env("TRINO_USER"), env("TRINO_PASSWORD")) if secure else None,
        http_session=session,
        request_timeout=60,
        source="seatrial",
    )


def authorities() -> str | None:
    """The path of a file with the authority that signed Trino's certificate, where it is not a public one."""
    pem = os.environ.get("TRINO_CA")
    if not pem:
        return None
    path = Path(tempfile.gettempdir()) / f"trino-ca-{digest(pem.encode())[:12]}.pem"
    path.write_text(pem)
    return str(path)


def query(connection: Any, sql: str, attempts: int = 5) -> list[Any]:
    """All rows of one statement; an error names the statement.

    An internal error is tried again: after its database restarted, each of Trino's pooled connections fails
    once. Our statements may be repeated, as each replaces or reads.
    """
    for attempt in range(1, attempts + 1):
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
            rows: list[Any] = cursor.fetchall()
            return rows
        except Exception as error:
            passing = getattr(error, "error_type", "") == "INTERNAL_ERROR" and attempt < attempts
            first = " ".join(sql.split())[:160]
            if not passing:
                raise WorkloadError(f"Trino refused `{first}`: {error}") from error
            log("trying again", statement=first, error=error)
            time.sleep(1)
    raise AssertionError("unreachable")


def postgres() -> Any:
    """A connection to the staging database (psycopg reads PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE)."""
    import psycopg

    return psycopg.connect(host=env("PGHOST"), dbname=env("PGDATABASE"), connect_timeout=20)


def mlflow() -> Any:
    """The mlflow module, set up to fail soon and clearly when the server is away."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A model's files are small: the server hands them out, in one request each.
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow as module

    uri = env("MLFLOW_TRACKING_URI")
    module.set_tracking_uri(uri)
    try:
        module.tracking.MlflowClient().search_experiments(max_results=1)
    except Exception as error:
        raise WorkloadError(f"MLflow at {uri} does not answer: {error}") from error
    return module


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and, where it is there, PyTorch, and ask for deterministic kernels."""
    import numpy

    random.seed(seed)
    numpy.random.seed(seed)
    try:
        import torch
    except ImportError:
        return
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def code_hash(folder: Path) -> str:
    """One hash over the Python files of `folder` and of what workloads share, by name and content."""
    whole = hashlib.sha256()
    for path in [*sorted(folder.rglob("*.py")), *sorted(Path(__file__).parent.glob("*.py"))]:
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def log(message: str, **fields: Any) -> None:
    """One line that a person can read and a program can parse."""
    tail = " ".join(f"{key}={value}" for key, value in fields.items())
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {message} {tail}".rstrip(), flush=True)


def run(main: Callable[[], dict[str, Any]]) -> None:
    """Run `main` as a pod does: its result, or the cause of its failure, becomes the termination message."""
    try:
        result = main()
    except Exception as error:
        traceback.print_exc()
        known = isinstance(error, WorkloadError)
        leave({"error": str(error) if known else f"{type(error).__name__}: {error}"})
        sys.exit(HOPELESS if isinstance(error, HopelessError) else 1)
    leave(result)
    # The interpreter looks through all objects before it ends: seconds, with PyTorch and MLflow loaded.
    gc.freeze()


def by_one(work: Callable[[], Any] | None, tell: Callable[[Any], Any]) -> Any:
    """The result of `work`, which one rank has; `tell` gives what that rank says to all."""
    answer: tuple[Any, WorkloadError | None] = None, None
    if work:
        try:
            answer = work(), None
        except WorkloadError as error:
            answer = None, type(error)(str(error))
        except Exception as error:
            answer = None, WorkloadError(f"{type(error).__name__}: {error}")
    result, failure = tell(answer)
    if failure is not None:
        raise failure
    return result


def leave(message: dict[str, Any]) -> None:
    """Write the termination message; outside a pod it goes to standard output only."""
    text = json.dumps(message)
    print(text, flush=True)
    if len(text) > MESSAGE_BYTES:
        kept = str(message.get("error", "see the log"))[: MESSAGE_BYTES // 2]
        text = json.dumps({"error" if "error" in message else "result": kept})
    if TERMINATION_LOG.exists() and os.access(TERMINATION_LOG, os.W_OK):
        TERMINATION_LOG.write_text(text)
