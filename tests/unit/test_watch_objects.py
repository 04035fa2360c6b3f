"""What stands in for kube-state-metrics: the same lines of the same objects, and nothing that is not so."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import workloads
from infra.components.monitoring import exporters
from workloads.common import HopelessError
from workloads.watch_objects import config, families, main, manifest, watching
from workloads.watch_objects.config import WatchObjects
from workloads.watch_objects.families import quantity
from workloads.watch_objects.watching import Kept, Watcher

UPSTREAM = Path(__file__).parent / "data" / "kube_state_metrics.json"
"""Objects and the lines that kube-state-metrics v2.20.0 has of them, from its own tests."""
SETTINGS = WatchObjects(port=0, page=2, watch=1, answers=5.0, pause=0.01, longest_pause=0.02, stale=60.0)
Object = dict[str, Any]


def pod(name: str, version: int, phase: str = "Running", restarts: int = 0) -> Object:
    status = {"phase": phase, "containerStatuses": [{"name": "main", "restartCount": restarts}]}
    metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main"}]}, "status": status}


def event(kind: str, item: Object) -> str:
    return json.dumps({"type": kind, "object": item})


def bookmark(version: int) -> str:
    return event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version)}})


def gone() -> str:
    return event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


@dataclass
class ApiServer:
    """Answers lists and watches of pods with what is given, in its order, and says what it was asked."""

    answers: deque[tuple[int, Any]] = field(default_factory=deque)
    """Status, and the body of a list or the lines of a watch; a line None breaks the connection off."""
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def list(self, version: int, *items: Object, more: str = "") -> None:
        metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
        self.answers.append((200, {"metadata": metadata, "items": list(items)}))

    def watch(self, *lines: str | None) -> None:
        self.answers.append((200, lines))

    def refuse(self, status: int) -> None:
        self.answers.append((status, {"message": "no"}))


def handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            server.asked.append({**query, "token": self.headers["Authorization"]})
            status, body = server.answers.popleft() if server.answers else (503, {})
            self.send_response(status)
            if not isinstance(body, tuple):
                text = json.dumps(body).encode()
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                return
            self.send_header("Connection", "close")
            self.end_headers()
            for line in body:
                if line is None:
                    self.wfile.write(b'{"type": "ADDED", "obj')
                    return
                self.wfile.write(line.encode() + b"\n")

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    (tmp_path / "token").write_text("first")
    monkeypatch.setattr(watching, "ACCOUNT", tmp_path)
    made = ApiServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(made)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield made
        server.shutdown()


def watcher(api: ApiServer, leaving: threading.Event | None = None) -> Watcher:
    kept = Kept("pods", families.pod)
    return Watcher(
        kept, "/api/v1/pods", httpx.Client(base_url=api.url), SETTINGS, leaving or threading.Event()
    )


def until_used_up(api: ApiServer, under: Watcher, leaving: threading.Event) -> None:
    """Run it until all that the server had to say was said, and it asked once more."""
    thread = threading.Thread(target=under.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while (api.answers or under.failures == 0) and time.monotonic() < deadline and not leaving.is_set():
        time.sleep(0.01)
    leaving.set()
    thread.join(timeout=10)
    assert not api.answers
    assert not thread.is_alive()


def run(api: ApiServer) -> Watcher:
    leaving = threading.Event()
    under = watcher(api, leaving)
    until_used_up(api, under, leaving)
    return under


def phases(under: Watcher) -> dict[str, str]:
    """The phase of each pod that is told of."""
    return {
        labels["pod"]: labels["phase"]
        for name, labels, value in under.kept.samples()
        if name == "kube_pod_status_phase" and value == 1
    }


# --- what is told -------------------------------------------------------------------------------------------


def lines(samples: Iterator[families.Sample]) -> dict[str, float]:
    return {f"{name}{json.dumps(labels, sort_keys=True)}": value for name, labels, value in samples}


@pytest.mark.parametrize("case", json.loads(UPSTREAM.read_text()), ids=lambda case: case["name"])
def test_an_object_is_told_of_as_by_kube_state_metrics(case: Any) -> None:
    _, tell = families.OF[case["resource"]]
    found = lines(tell(case["object"]))
    wanted = {f"{name}{json.dumps(labels, sort_keys=True)}": value for name, labels, value in case["samples"]}
    names = {name for name, _, _ in case["samples"]}
    assert {key: value for key, value in found.items() if key.partition("{")[0] in names} == wanted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25), ("3", 3), ("4.3", 4.3), ("1Gi", 2**30), ("128Mi", 2**27), ("2G", 2e9), ("1e3", 1000),
        ("100n", 1e-7), ("5u", 5e-6), ("2k", 2000), ("1E", 1e18), ("0", 0), ("100m", 0.1),
    ],
)  # fmt: skip
def test_quantities_are_numbers(text: str, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "1KB", "Gi", "1 Gi", "m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_an_object_without_a_status_has_no_figures_that_were_made_up() -> None:
    bare = pod("a", 1)
    del bare["status"]
    assert {name for name, _, _ in families.pod(bare)} == {"kube_pod_info", "kube_pod_owner"}
    job = {"metadata": {"namespace": "ns", "name": "j"}, "spec": {}}
    told = {name for name, _, _ in families.job(job)}
    assert not told & {"kube_job_complete", "kube_job_failed", "kube_job_status_start_time"}


# --- how a list is kept -------------------------------------------------------------------------------------


def test_events_change_what_was_listed(api: ApiServer) -> None:
    api.list(10, pod("a", 8), pod("b", 9))
    api.watch(
        event("ADDED", pod("c", 11, "Pending")),
        event("MODIFIED", pod("a", 12, "Failed")),
        event("DELETED", pod("b", 13)),
    )
    assert phases(run(api)) == {"a": "Failed", "c": "Pending"}


def test_a_watch_goes_on_where_it_ended_and_bookmarks_move_it(api: ApiServer) -> None:
    api.list(10)
    api.watch(event("ADDED", pod("a", 11)))
    api.watch(bookmark(40))
    api.watch()
    assert phases(run(api)) == {"a": "Running"}
    assert [each.get("resourceVersion") for each in api.asked[:4]] == [None, "10", "11", "40"]
    assert {each.get("allowWatchBookmarks") for each in api.asked[1:4]} == {"true"}
    assert {each.get("timeoutSeconds") for each in api.asked[1:4]} == {"1"}


@pytest.mark.parametrize("by_status", [True, False])
def test_a_forgotten_version_is_listed_anew_and_what_was_deleted_meanwhile_is_gone(
    api: ApiServer, by_status: bool
) -> None:
    api.list(10, pod("a", 8), pod("b", 9))
    if by_status:
        api.refuse(410)
    else:
        api.watch(gone())
    api.list(90, pod("b", 80, "Succeeded"))
    api.watch(event("ADDED", pod("c", 91)))
    assert phases(run(api)) == {"b": "Succeeded", "c": "Running"}
    assert [each.get("resourceVersion") for each in api.asked[:4]] == [None, "10", None, "90"]


def test_while_it_is_listed_anew_the_old_is_told_and_never_half_of_the_new(api: ApiServer) -> None:
    api.list(10, pod("a", 8), pod("b", 9))
    api.watch(gone())
    api.list(90, pod("a", 80, "Failed"), more="token")
    under = run(api)  # The second page is refused.
    assert phases(under) == {"a": "Running", "b": "Running"}
    assert api.asked[3]["continue"] == "token"


def test_a_list_comes_in_pages(api: ApiServer) -> None:
    api.list(10, pod("a", 1), pod("b", 2), more="next")
    api.list(10, pod("c", 3))
    api.watch()
    assert set(phases(run(api))) == {"a", "b", "c"}
    assert [(each.get("limit"), each.get("continue")) for each in api.asked[:2]] == [
        ("2", None),
        ("2", "next"),
    ]
    assert api.asked[2]["resourceVersion"] == "10"


def test_a_page_that_came_too_late_begins_the_list_anew(api: ApiServer) -> None:
    api.list(10, pod("a", 1), more="next")
    api.refuse(410)
    api.list(20, pod("b", 2))
    api.watch()
    assert set(phases(run(api))) == {"b"}


def test_after_a_broken_connection_nothing_is_lost_and_nothing_listed(api: ApiServer) -> None:
    api.list(10, pod("a", 8))
    api.watch(event("MODIFIED", pod("a", 11, "Failed")), None)
    api.refuse(500)
    api.watch(event("DELETED", pod("a", 12)))
    assert phases(run(api)) == {}
    assert [each.get("resourceVersion") for each in api.asked[:4]] == [None, "10", "11", "11"]


def test_a_restarted_one_knows_nothing_until_it_has_listed(api: ApiServer) -> None:
    api.refuse(403)
    under = run(api)
    assert (under.kept.listed, under.kept.samples(), under.kept.fresh(60)) == (False, [], False)
    api.list(10, pod("a", 8))
    api.watch()
    again = run(api)
    assert (again.kept.listed, set(phases(again)), again.kept.fresh(60)) == (True, {"a"}, True)


def test_half_a_list_is_no_list(api: ApiServer) -> None:
    api.list(10, pod("a", 1), more="next")
    under = run(api)
    assert (under.kept.samples(), under.kept.fresh(60)) == ([], False)


def test_the_token_is_read_each_time(api: ApiServer) -> None:
    api.list(10)
    run(api)
    (watching.ACCOUNT / "token").write_text("second")
    api.list(10)
    run(api)
    assert (api.asked[0]["token"], api.asked[-1]["token"]) == ("Bearer first", "Bearer second")


def test_tries_come_further_and_further_apart_to_an_end() -> None:
    settings = config.reference()
    under = Watcher(Kept("pods", families.pod), "/", httpx.Client(), settings, threading.Event())
    for failures, longest in ((1, 1), (2, 2), (5, 16), (20, 30), (10_000, 30)):
        under.failures = failures
        assert longest / 2 <= under._pause() <= longest


def test_an_object_that_cannot_be_read_ends_the_program_with_its_cause(api: ApiServer) -> None:
    api.list(10, {"metadata": {"uid": "x"}})
    leaving = threading.Event()
    under = watcher(api, leaving)
    with pytest.raises(KeyError):
        under.run()
    assert isinstance(under.broken, KeyError)
    assert leaving.is_set()


# --- what is answered ---------------------------------------------------------------------------------------


@pytest.fixture
def served(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[httpx.Client, list[Watcher]]]:
    """The program on pods alone; nothing is listed yet."""
    monkeypatch.setattr(families, "OF", {"pods": families.OF["pods"]})
    monkeypatch.setattr(Watcher, "run", lambda self: None)
    server, watchers = main.serve(SETTINGS, httpx.Client(base_url=api.url), threading.Event())
    yield httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}"), watchers
    server.shutdown()
    server.server_close()


def test_nothing_is_told_before_all_is_listed_nor_when_the_api_server_was_long_silent(served: Any) -> None:
    http, [under] = served
    for path, code in (("/metrics", 503), ("/readyz", 503), ("/livez", 200)):
        assert http.get(path).status_code == code, path
    under.kept.heard = time.monotonic()
    under.kept.replace([pod("a", 1, restarts=3)])
    for path, code in (("/metrics", 200), ("/readyz", 200), ("/livez", 200), ("/other", 404)):
        assert http.get(path).status_code == code, path
    under.kept.heard = time.monotonic() - SETTINGS.stale - 1
    assert (http.get("/metrics").status_code, http.get("/livez").status_code) == (503, 200)
    assert "does not tell of pods" in http.get("/readyz").text


def test_metrics_are_typed_and_named_as_upstream_writes_them(served: Any) -> None:
    http, [under] = served
    under.kept.heard = time.monotonic()
    under.kept.replace([pod("a", 1, restarts=3)])
    text = http.get("/metrics").text
    assert "# TYPE kube_pod_container_status_restarts_total counter" in text
    wanted = (
        'kube_pod_container_status_restarts_total{container="main",namespace="ns",pod="a",uid="uid-a"} 3.0'
    )
    assert wanted in text.splitlines()
    assert "# TYPE kube_pod_status_phase gauge" in text


def test_an_empty_cluster_is_known_and_has_no_lines(served: Any) -> None:
    http, [under] = served
    under.kept.heard = time.monotonic()
    under.kept.replace([])
    assert (http.get("/metrics").status_code, http.get("/metrics").text) == (200, "")


@pytest.mark.parametrize("changes", [{"page": 0}, {"watch": 0}, {"pause": 0.0}, {"stale": 60.0}])
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(HopelessError, match=next(iter(changes))):
        WatchObjects(**changes)


# --- its pod ------------------------------------------------------------------------------------------------


def test_the_pod_runs_under_the_platforms_account_and_gets_no_password() -> None:
    [item] = workloads.manifest("watch_objects", "registry.example/seatrial/workloads:0123")
    assert item["metadata"]["namespace"] == manifest.NAMESPACE
    spec = item["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == exporters.OBJECTS
    [container] = spec["containers"]
    assert container["image"] == "registry.example/seatrial/booking-api:0123"
    assert "envFrom" not in container
    assert container["resources"]["requests"] == {"cpu": "10m", "memory": "64Mi"}
    assert item["spec"]["replicas"] == 1


def test_settings_reach_the_pod_and_unfit_ones_are_refused_before() -> None:
    image = "registry.example/seatrial/workloads:0123"
    [item] = workloads.manifest("watch_objects", image, arguments=["--set", "port=9999"])
    [container] = item["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["containerPort"] == 9999
    with pytest.raises(ValueError, match="page must be at least 1"):
        workloads.manifest("watch_objects", image, arguments=["--set", "page=0"])
