"""The load generator. Where figures are asserted, time is virtual: they are exact, on any machine."""

import asyncio
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from tests.unit import virtual_time
from workloads import common
from workloads.common import HopelessError, WorkloadError
from workloads.generate_load import bookings, config, main, manifest
from workloads.generate_load.control import control
from workloads.generate_load.echo import Behaviour, Echo, serving
from workloads.generate_load.load import Running, run
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import Result
from workloads.generate_load.summary import summary

PLAN = Plan(url="http://echo.test/", rate=100.0, seconds=10.0, arrival="constant", bodies=(b"{}",))


def measured(plan: Plan, behaviour: Behaviour, *, starved: tuple[float, float] | None = None) -> Result:
    """The run of a plan against an echo, both in virtual time, over a Unix socket."""

    async def work() -> Result:
        with tempfile.TemporaryDirectory() as folder:
            socket = f"{folder}/echo"
            async with serving(behaviour) as (_, runner):
                await web.UnixSite(runner, socket).start()
                if starved:
                    virtual_time.starve(*starved)
                return await run(plan, connector=aiohttp.UnixConnector(socket, limit=plan.connections))

    return virtual_time.run(work())


@asynccontextmanager
async def at(runner: web.ServerRunner, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port of loopback."""
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]


def against(plan: Plan, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> Result:
    """The run of a plan against a handler, over loopback and in real time."""

    async def work() -> Result:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        async with at(runner) as port:
            result = await run(replace(plan, url=f"http://127.0.0.1:{port}/"))
        await runner.cleanup()
        return result

    return asyncio.run(work())


def p(result: Result, q: str) -> float:
    found = result.latency.told[q]
    assert found
    return found.value


# --- what is measured ---------------------------------------------------------------------------------------


def test_the_time_that_a_server_takes_is_found() -> None:
    result = measured(PLAN, Behaviour(delay=0.05))
    assert result.outcomes == {"200": 1000}
    assert [p(result, q) for q in ("0.5", "0.9", "0.99")] == pytest.approx([50, 50, 50], abs=0.5)
    assert result.valid, result.validity


def test_a_stall_is_seen_by_all_who_would_have_waited_and_hidden_from_the_send() -> None:
    # Five stalls of a second in a minute: of 3,000 requests 250 are due in one, and the 30 longest waits
    # are those of 0.88 s and more. Over one connection only five of them are sent in a stall.
    plan = replace(PLAN, rate=50.0, seconds=60.0, connections=1)
    result = measured(plan, Behaviour(delay=0.002, stall_every=10, stall_for=1))
    sent = result.from_send.told["0.99"]
    assert sent
    assert sent.value == pytest.approx(2, abs=0.5)
    assert p(result, "0.99") == pytest.approx(890, abs=25), (
        "the queue is worked off for 0.1 s after the stall"
    )
    assert p(result, "0.5") == pytest.approx(2, abs=0.5)
    assert result.failed == 0
    assert result.valid, "the server stalled, not the generator"


def test_a_stall_is_found_to_the_millisecond_with_connections_enough() -> None:
    plan = replace(PLAN, rate=50.0, seconds=60.0, connections=100)
    result = measured(plan, Behaviour(stall_every=10, stall_for=1))
    assert p(result, "0.99") == pytest.approx(880, abs=21), "a request every 20 ms"


def test_a_generator_that_is_starved_says_that_its_run_is_invalid() -> None:
    fair = measured(PLAN, Behaviour(delay=0.01))
    starved = measured(PLAN, Behaviour(delay=0.01), starved=(0.5, 0.1))
    assert fair.valid
    assert not starved.valid
    lag, _ = starved.validity
    assert not lag.ok
    assert lag.value == pytest.approx(100, abs=15)
    assert starved.outcomes == {"200": 1000}, "what is counted holds"
    assert "INVALID" in summary(starved)
    assert "INVALID" not in summary(fair)


def test_a_rate_that_was_not_kept_is_invalid() -> None:
    result = measured(replace(PLAN, requests=50), Behaviour(), starved=(0.48, 0.1))
    _, off = result.validity
    assert not off.ok


def test_a_request_that_takes_too_long_is_counted_and_in_the_latency_as_the_time_allowed() -> None:
    result = measured(replace(PLAN, timeout=0.2), Behaviour(delay=0.01, stall_every=5, stall_for=1))
    late = result.outcomes["timeout"]
    assert result.outcomes == {"200": 1000 - late, "timeout": late}
    assert 79 <= late <= 84, "a request every 10 ms of the first 0.8 s of the stall"
    assert p(result, "0.99") == 200
    assert result.latency.timeouts == late
    assert result.from_send.samples == 1000 - late


def test_who_finds_no_free_connection_waits_and_that_counts() -> None:
    result = measured(replace(PLAN, rate=20.0, connections=1), Behaviour(delay=0.06))
    assert p(result, "0.5") > 1000, "the queue grows by 10 ms a request"
    sent = result.from_send.told["0.5"]
    assert sent
    assert sent.value == pytest.approx(60, abs=0.5)
    assert result.valid


def test_requests_of_the_warm_up_are_counted_but_not_in_the_latency() -> None:
    result = measured(replace(PLAN, warm_up=4.0), Behaviour())
    assert result.requests == 1000
    assert result.latency.samples == 600


def test_a_quantile_is_told_from_as_many_requests_as_certify_it() -> None:
    few = measured(replace(PLAN, requests=661), Behaviour())
    enough = measured(replace(PLAN, requests=662), Behaviour())
    assert few.latency.told["0.99"] is None
    assert "needs 662 samples" in summary(few)
    assert enough.latency.told["0.99"]
    assert "needs 662 samples" not in summary(enough)


# --- every request is counted -------------------------------------------------------------------------------

QUICK = replace(PLAN, rate=1000.0, seconds=0.2, requests=100, timeout=600.0)
"""In real time, in which a busy machine may take its time: nothing of it is asserted."""


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_connection_that_breaks_is_counted_and_nothing_is_sent_twice(method: str) -> None:
    plan = replace(QUICK, method=method, connections=4)

    async def work() -> tuple[Result, Echo]:
        async with serving(Behaviour(reset_every=7)) as (echo, runner), at(runner) as port:
            return await run(replace(plan, url=f"http://127.0.0.1:{port}/")), echo

    result, echo = asyncio.run(work())
    assert result.outcomes == {"200": 86, "disconnected": 14}
    assert echo.received == 100
    assert {failure.outcome for failure in result.failures} == {"disconnected"}


def test_a_server_that_is_not_there_is_counted(unused_port: int) -> None:
    result = asyncio.run(run(replace(QUICK, url=f"http://127.0.0.1:{unused_port}/")))
    assert result.outcomes == {"connect": 100}
    assert result.failed == 100
    assert "Cannot connect" in result.failures[0].said


def test_an_answer_that_is_no_http_is_counted() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async def work() -> Result:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await run(replace(QUICK, requests=5, bodies=(), url=f"http://127.0.0.1:{port}/"))

    assert asyncio.run(work()).outcomes == {"invalid": 5}


def test_a_refusal_is_counted_by_its_status_with_what_was_said() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=429, text="too many of ada's requests")

    result = against(replace(QUICK, id_header="x-request-id"), answer)
    assert (result.outcomes, result.failed, result.latency.samples) == ({"429": 100}, 100, 0)
    assert result.latency.told["0.5"] is None
    assert len(result.failures) == 20
    assert result.failures[0].said == "too many of ada's requests"
    assert len(result.failures[0].identity) == 36


def test_answers_are_counted_by_a_header() -> None:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request.path)
        version = "2" if len(seen) % 4 == 0 else "1"
        return web.Response(headers={"x-model-version": version})

    result = against(replace(QUICK, count_header="x-model-version"), answer)
    assert result.counted == {"1": 75, "2": 25}
    assert against(replace(QUICK, count_header="x-other"), answer).counted == {"": 100}


def test_bodies_are_sent_in_turn_each_with_an_id_of_its_own() -> None:
    bodies: list[bytes] = []
    heads: list[Any] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        bodies.append(await request.read())
        heads.append(request.headers)
        return web.Response()

    told = {"x-api-key": "secret-1"}
    plan = replace(QUICK, requests=6, bodies=(b'{"a":1}', b'{"a":2}'), id_header="x-request-id", headers=told)
    result = against(replace(plan, connections=1), answer)
    assert bodies == [b'{"a":1}', b'{"a":2}'] * 3
    assert len({head["x-request-id"] for head in heads}) == 6
    assert {head["content-type"] for head in heads} == {"application/json"}
    assert {head["x-api-key"] for head in heads} == {"secret-1"}
    assert "secret-1" not in result.to_json()
    assert result.plan["headers"] == ["x-api-key"]


# --- names and certificates ---------------------------------------------------------------------------------


def test_a_host_is_reached_elsewhere_under_its_own_name() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(headers={"x-host": request.host})

    async def work() -> Result:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        async with at(runner) as port:
            plan = replace(QUICK, url="http://booking.platform.test/", count_header="x-host")
            result = await run(replace(plan, connect=f"localhost:{port}"))
        await runner.cleanup()
        return result

    assert asyncio.run(work()).counted == {"booking.platform.test": 100}


def test_a_certificate_is_checked_by_the_authority_and_the_name(tmp_path: Path) -> None:
    ca, context = certificate(tmp_path, "booking.platform.test")

    async def work() -> list[dict[str, int]]:
        async with serving(Behaviour()) as (_, runner), at(runner, context) as port:
            good = replace(QUICK, url="https://booking.platform.test/", connect=f"127.0.0.1:{port}", ca=ca)
            other = replace(good, url="https://other.platform.test/")
            return [(await run(plan)).outcomes for plan in (good, other, replace(good, ca=""))]

    good, other, untrusted = asyncio.run(work())
    assert good == {"200": 100}
    assert other == untrusted == {"tls": 100}


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(WorkloadError, match="ca is no certificate in PEM form"):
        asyncio.run(run(replace(QUICK, url="https://booking.platform.test/", ca="none")))


# --- beginning, stopping, keeping ---------------------------------------------------------------------------


def test_a_run_that_is_stopped_waits_for_what_is_under_way() -> None:
    async def work() -> Result:
        stop = asyncio.Event()
        with tempfile.TemporaryDirectory() as folder:
            async with serving(Behaviour(delay=0.5)) as (_, runner):
                await web.UnixSite(runner, f"{folder}/echo").start()
                asyncio.get_running_loop().call_later(2.0, stop.set)
                connector = aiohttp.UnixConnector(f"{folder}/echo", limit=100)
                return await run(replace(PLAN, connections=100), stop=stop, connector=connector)

    result = virtual_time.run(work())
    assert 198 <= result.requests <= 202
    assert result.outcomes == {"200": result.requests}
    assert result.stopped
    assert not measured(PLAN, Behaviour()).stopped


@pytest.fixture
def behind() -> Any:
    """An echo in a thread of its own; where it is."""
    import threading

    loop = asyncio.new_event_loop()
    ports: list[int] = []
    ready, over = threading.Event(), asyncio.Event()

    async def work() -> None:
        async with serving(Behaviour()) as (_, runner), at(runner) as port:
            ports.append(port)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    assert ready.wait(60)
    yield f"http://127.0.0.1:{ports[0]}/"
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def test_a_load_runs_beside_what_is_not_asynchronous_until_it_is_stopped(behind: str) -> None:
    with Running(replace(PLAN, url=behind, seconds=600.0, timeout=600.0)) as load:
        load.wait_for(10)
        load.stop()
    result = load.result()
    assert result.stopped
    assert result.requests >= 10
    assert sum(result.outcomes.values()) == result.requests == load.ended


def test_waiting_for_more_than_there_is_to_send_is_refused(behind: str) -> None:
    with (
        Running(replace(QUICK, url=behind, requests=5)) as load,
        pytest.raises(WorkloadError, match="5 of 6 requests have ended, and the load is over"),
    ):
        load.wait_for(6)


def test_a_load_that_cannot_begin_says_so() -> None:
    with Running(replace(QUICK, url="https://booking.platform.test/", ca="none")) as load:
        pass
    with pytest.raises(WorkloadError, match="ca is no certificate"):
        load.result()


def test_a_file_holds_every_request(tmp_path: Path) -> None:
    result = measured(replace(PLAN, timeout=0.2, warm_up=1.0), Behaviour(stall_every=5, stall_for=1))
    file = tmp_path / "load.json"
    file.write_text(result.to_json())
    read = Result.read(file)
    assert read.brief() == result.brief()
    assert json.loads(file.read_text())["outcomes"] == result.outcomes
    np.testing.assert_allclose(read.samples.latency, result.samples.latency, atol=1e-6)
    assert len(file.read_bytes()) < 40 * result.requests


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"plan": {}}')
    with pytest.raises(WorkloadError, match=r"x\.json is no file of a load"):
        Result.read(tmp_path / "x.json")


def test_a_run_is_shown_and_kept_whole(
    behind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brief = main.load(replace(QUICK, url=behind, requests=20), False, tmp_path / "load.json")
    said = capsys.readouterr().out
    assert f"20 requests to {behind}, constant at 1000/s" in said
    assert f"whole result: {tmp_path / 'load.json'}" in said
    assert brief["outcomes"] == {"200": 20} == Result.read(tmp_path / "load.json").outcomes
    assert len(json.dumps(brief)) < common.MESSAGE_BYTES


def test_in_a_pod_it_is_kept_in_the_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setenv("S3_BUCKET", "datasets")
    monkeypatch.setattr(common, "s3", lambda: Some(put_object=lambda **told: kept.update(told)))
    result = measured(replace(PLAN, requests=5), Behaviour())
    place = main.keep(result, None)
    assert place == f"s3://datasets/{kept['Key']}"
    assert kept["Key"].startswith("loads/")
    assert json.loads(kept["Body"])["outcomes"] == {"200": 5}
    monkeypatch.delenv("S3_BUCKET")
    assert main.keep(result, None) == ""


def test_the_generator_is_measured_against_an_echo_at_twice_the_rate() -> None:
    found = asyncio.run(
        control(replace(QUICK, rate=50.0, url="http://unused.test/", connect="unused.test:1"))
    )
    assert found["rate"] == 100
    assert found["requests"] == 20
    assert found["failed"] == 0


# --- plans --------------------------------------------------------------------------------------------------


def test_a_schedule_is_the_same_for_the_same_seed_and_as_dense_as_asked() -> None:
    plan = replace(PLAN, arrival="poisson", rate=50.0, seconds=400.0)
    due = plan.schedule()
    np.testing.assert_array_equal(due, plan.schedule())
    assert due[0] != replace(plan, seed=14).schedule()[0]
    assert due.size == pytest.approx(20_000, rel=0.03)
    gaps = np.diff(due)
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05), "as exponential gaps are"
    assert due.max() < 400
    np.testing.assert_array_equal(replace(plan, requests=100).schedule(), due[:100])
    np.testing.assert_allclose(np.diff(replace(plan, arrival="constant").schedule()), 0.02)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "booking"}, "url 'booking' is none; give for example https://"),
        ({"rate": 0.0}, "rate must be above 0, it is 0.0"),
        ({"seconds": float("inf")}, "seconds must be above 0, it is inf"),
        ({"requests": 0}, "requests must be at least 1, it is 0"),
        ({"warm_up": 10.0}, r"warm_up must be from 0 to below seconds \(10.0\), it is 10.0"),
        ({"arrival": "uniform"}, "arrival 'uniform' is unknown; there are: poisson, constant"),
        ({"connect": "gateway"}, "connect 'gateway' is no host:port"),
        ({"connect": "g:1", "url": "http://10.0.0.1/"}, "connect is for a URL whose host has a name"),
        ({"rate": 1e6, "seconds": 3600.0}, "more than 5,000,000; give fewer, or bound requests"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(HopelessError, match=said):
        replace(PLAN, **wrong)


def test_settings_become_a_plan() -> None:
    for settings in (config.reference(), config.tiny()):
        plan = main.plan_of(settings, {}, (b"{}",))
        assert plan.requests is None
        assert plan.schedule().size == pytest.approx(settings.rate * settings.seconds, rel=0.35)


def test_bodies_come_from_a_file_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    file.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert main.read_bodies(file) == (b'{"a": 1}', b'{"a": 2}')
    file.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(HopelessError, match=r"bodies: .*bodies\.jsonl, document 2 is no JSON"):
        main.read_bodies(file)
    file.write_text("\n")
    with pytest.raises(HopelessError, match=r"bodies\.jsonl is empty"):
        main.read_bodies(file)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "k=1")
    tiny = config.tiny()
    assert main.headers_of(tiny, ["x-user=ada"]) == {"x-user": "ada", "x-api-key": "k=1"}
    assert main.headers_of(replace(tiny, key_header=""), []) == {}
    with pytest.raises(HopelessError, match="header 'x-user' is no name=value"):
        main.headers_of(tiny, ["x-user"])
    monkeypatch.delenv("GATEWAY_API_KEY")
    with pytest.raises(WorkloadError, match="GATEWAY_API_KEY is not set"):
        main.headers_of(tiny, [])


def test_passengers_ask_about_real_flights() -> None:
    found = bookings.sample(500, 13)
    assert found == bookings.sample(500, 13)
    assert found != bookings.sample(500, 14)
    departures = [datetime.fromisoformat(each.question["departure"]) for each in found]
    assert {when.year for when in departures} == {2013}
    assert len({when.month for when in departures}) == 12
    assert {each.question["origin"] for each in found} == {"EWR", "JFK", "LGA"}
    assert 0.15 < np.mean([each.late for each in found]) < 0.35, "a quarter was late"
    assert len({each.question["user"] for each in found}) > 450
    (body,) = bookings.bodies(1, 13)
    assert json.loads(body) == bookings.sample(1, 13)[0].question


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path, name: str) -> tuple[str, ssl.SSLContext]:
    """A certificate for `name` that is its own authority: in PEM form, and as a server uses it."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_text(pem + secret.decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "both.pem")
    return pem, context


def test_a_load_that_is_told_to_end_has_time_to_keep_what_it_has() -> None:
    (job,) = manifest.objects("registry.example/seatrial/workloads:0123")
    left = job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert left > config.reference().timeout + 20, "for the last answers, and for the object store"
