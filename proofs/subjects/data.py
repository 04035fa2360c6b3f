"""The flights in the lake: complete, right, traceable and behind a password."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pandas as pd
from botocore.exceptions import FlexibleChecksumError

from client import Platform
from proofs import probe
from proofs.run import Check, proof
from workloads.ingest_flights import config
from workloads.ingest_flights.main import content_hash, months, months_sql, read_source, source_folder

PLACE = f"iceberg.{config.SCHEMA}"
TABLES = config.reference().tables


@proof("data")
def every_row_arrived(platform: Platform, check: Check) -> None:
    """Each table has as many rows as the package's file has lines."""
    for table in TABLES:
        lines = read_source(table).strip().count(b"\n")
        ((rows,),) = platform.sql(f"SELECT count(*) FROM {PLACE}.{table.name}")
        check.equal(rows, lines, f"{table.name} has the source's {lines:,} rows")


QUESTIONS = {
    "how late each carrier is": "SELECT carrier, count(*), sum(arr_delay), "
    "avg(CAST(arr_delay AS double)), count(*) - count(dep_time) FROM {flights} "
    "GROUP BY carrier ORDER BY carrier",
    "each month's longest delay and latest instant": "SELECT month, max(arr_delay), min(arr_delay), "
    "count(DISTINCT tailnum), max(to_unixtime(time_hour)) FROM {flights} GROUP BY month ORDER BY month",
    "delays in rain and in the dry": "SELECT f.origin, w.precip > 0, count(*), "
    "avg(CAST(f.dep_delay AS double)) FROM {flights} f "
    "JOIN {weather} w ON f.origin = w.origin AND f.time_hour = w.time_hour "
    "GROUP BY 1, 2 ORDER BY 1, 2",
    "seats flown by manufacturer": "SELECT p.manufacturer, sum(p.seats), count(*) FROM {flights} f "
    "JOIN {planes} p ON f.tailnum = p.tailnum GROUP BY p.manufacturer ORDER BY p.manufacturer",
    "where no airport is known": "SELECT f.dest, a.name, count(*), sum(f.distance) FROM {flights} f "
    "LEFT JOIN {airports} a ON f.dest = a.faa GROUP BY f.dest, a.name ORDER BY f.dest",
    "airline names": "SELECT carrier, name FROM {airlines} ORDER BY carrier",
}


@proof("data", needs=["data.every_row_arrived"])
def answers_equal_duckdb(platform: Platform, check: Check) -> None:
    """Trino answers the same questions as DuckDB does on the source files."""
    for question in QUESTIONS:
        ours, expected = answer(platform, question), right_answer(question)
        check.equal(len(ours), len(expected), f"as many rows: {question}")
        different = [pair for pair in zip(ours, expected, strict=True) if not same(*pair)]
        check(not different, f"the same answer: {question}", first=different[:1])


def answer(platform: Platform, question: str) -> list[Any]:
    """Trino's rows."""
    places = {table.name: f"{PLACE}.{table.name}" for table in TABLES}
    return platform.sql(QUESTIONS[question].format(**places))


def right_answer(question: str) -> list[Any]:
    """DuckDB's rows."""
    sql = QUESTIONS[question].format(**{table.name: table.name for table in TABLES})
    rows: list[Any] = source().execute(sql.replace("to_unixtime(", "epoch(")).fetchall()
    return rows


@cache
def source() -> Any:
    """The package's files in DuckDB, read by pandas with the types of the tables."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        frame = pd.read_csv(source_folder() / table.file, keep_default_na=False, na_values=["NA"])
        kinds: dict[str, Any] = {"integer": "Int64", "double precision": "float64", "text": "string"}
        for name, kind in table.columns.items():
            if kind == "timestamptz":
                frame[name] = pd.to_datetime(frame[name], utc=True)
            else:
                frame[name] = frame[name].astype(kinds[kind])
        database.register(table.name, frame)
    return database


def same(ours: Any, theirs: Any) -> bool:
    """Equal values; doubles may differ in the last digits, because sums are made in another order."""
    return all(
        abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for a, b in zip(ours, theirs, strict=True)
    )


@proof("data", needs=["data.every_row_arrived"])
def the_snapshot_is_recorded(platform: Platform, check: Check) -> None:
    """The load's record names the tables' current snapshots and the hash of exactly this source."""
    record = probe.ingest_record(platform)
    for table in TABLES:
        entry = record["tables"].get(table.name)
        check(entry is not None, f"{table.name} is in the record")
        found = platform.sql(f"SELECT snapshot_id FROM {PLACE}.\"{table.name}$refs\" WHERE name = 'main'")
        check.equal(str(found[0][0]), entry["snapshot_id"], f"{table.name} stands at the recorded snapshot")
        expected = content_hash(table, read_source(table))
        check.equal(entry["content_sha256"], expected, f"{table.name} was made from this source")
        ((rows,),) = platform.sql(
            f"SELECT count(*) FROM {PLACE}.{table.name} FOR VERSION AS OF {entry['snapshot_id']}"
        )
        check.equal(rows, entry["rows"], f"{table.name} at its snapshot has the recorded rows")
    told = record["tables"]["flights"].get("months")
    there = months(platform.sql(months_sql(f"{PLACE}.flights")))
    check.equal(told, there, "the record names the months of the flights")
    check.attach("data", {name: entry["rows"] for name, entry in record["tables"].items()})


@proof("data", needs=["data.every_row_arrived"])
def the_files_are_in_the_object_store(platform: Platform, check: Check) -> None:
    """Each file that Iceberg names is in the bucket with its size, and flights lie in twelve months."""
    files = platform.sql(f'SELECT file_path, file_size_in_bytes, record_count FROM {PLACE}."flights$files"')
    check(bool(files), "the table has files")
    s3 = platform.s3()
    for path, size, _ in files:
        url = urlsplit(path)
        head = s3.head_object(Bucket=url.netloc, Key=url.path.lstrip("/"))
        check.equal(head["ContentLength"], size, f"{url.path.rsplit('/', 1)[1]} has its size")
    ((months,),) = platform.sql(f'SELECT count(*) FROM {PLACE}."flights$partitions"')
    check.equal(months, 12, "there is a partition a month")
    check.equal(sum(count for *_, count in files), 336_776, "the files hold all flights")


@proof("data")
def an_object_is_replaced_whole(platform: Platform, check: Check) -> None:
    """Who reads an object while it is put anew gets the old one or the new one, with its checksum."""
    where = {"Bucket": platform.access["S3_BUCKET"], "Key": f"proof-{uuid.uuid4().hex[:8]}"}
    texts = [f"{number} " * (number + 1) for number in range(150)]
    writer, reader = platform.s3(), platform.s3()
    writer.put_object(**where, Body=texts[0].encode())
    done = threading.Event()

    def put() -> None:
        try:
            for text in texts:
                writer.put_object(**where, Body=text.encode())
        finally:
            done.set()

    read: list[str] = []
    with ThreadPoolExecutor(1) as other:
        putting = other.submit(put)
        while not done.is_set():
            read.append(_read(reader, where))
        putting.result()
    reader.delete_object(**where)
    torn = [text for text in read if text not in texts]
    check(len(set(read)) > 10, "it was read between the puts", read=len(read), different=len(set(read)))
    check(
        not torn, "each read gave an object that was put", torn=f"{len(torn)} of {len(read)}", first=torn[:1]
    )


def _read(s3: Any, where: dict[str, str]) -> str:
    try:
        return str(s3.get_object(**where)["Body"].read().decode())
    except FlexibleChecksumError as mismatch:
        return str(mismatch)


@proof("data")
def one_query_spans_the_catalogs(platform: Platform, check: Check) -> None:
    """One statement joins the lake, PostgreSQL and the TPC-H catalog."""
    with platform.postgres() as database:
        database.execute("DROP TABLE IF EXISTS proof_carriers")
        database.execute("CREATE TABLE proof_carriers (carrier text, country integer)")
        database.execute("INSERT INTO proof_carriers VALUES ('UA', 24), ('AA', 24)")
        database.execute("GRANT SELECT ON proof_carriers TO PUBLIC")
    rows = platform.sql(
        f"SELECT a.name, n.name FROM {PLACE}.airlines a JOIN postgresql.public.proof_carriers c "
        "ON a.carrier = c.carrier JOIN tpch.tiny.nation n ON n.nationkey = c.country ORDER BY a.carrier"
    )
    with platform.postgres() as database:
        database.execute("DROP TABLE proof_carriers")
    check.equal(
        [tuple(row) for row in rows],
        [("American Airlines Inc.", "UNITED STATES"), ("United Air Lines Inc.", "UNITED STATES")],
        "the join gives both airlines with their country",
    )


@proof("data")
def wrong_passwords_are_refused(platform: Platform, check: Check) -> None:
    """The object store, Trino and PostgreSQL let nobody in with a wrong password, and everybody with the
    right one.
    """
    bucket = platform.access["S3_BUCKET"]
    listed = platform.s3().list_objects_v2(Bucket=bucket, MaxKeys=1)["ResponseMetadata"]
    check.equal(listed["HTTPStatusCode"], 200, "the object store accepts the right key")
    check.refuses(
        lambda: platform.s3(secret_key="wrong").list_objects_v2(Bucket=bucket),
        ["SignatureDoesNotMatch", "403", "AccessDenied", "Forbidden"],
        "the object store refuses a wrong key",
    )
    check.equal(platform.sql("SELECT 1"), [[1]], "Trino accepts the right password")
    check.refuses(
        lambda: platform.trino(password="wrong").cursor().execute("SELECT 1"),
        ["401", "Unauthorized", "Access Denied"],
        "Trino refuses a wrong password",
    )
    check.refuses(
        lambda: platform.postgres(password="wrong"),
        ["password authentication failed"],
        "PostgreSQL refuses a wrong password",
    )
