"""Routes of models on a real API server: no change is lost, and the bandit's account opens one route only."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import workloads
from client import Platform, outputs, traffic
from client.errors import ClientError
from client.jobs import apply
from client.objects import kinds
from client.traffic import Route
from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.unit.infra_stacks import built
from workloads.steer_traffic import config, gateway, main
from workloads.steer_traffic.steering import Note, decide

NAMESPACE = outputs.NAMESPACE_WORKLOADS
CORE = f"/api/v1/namespaces/{NAMESPACE}"


@pytest.fixture(scope="module")
def platform(plane: ControlPlane, cluster: Cluster) -> Iterator[Platform]:
    """A platform that has the kind of routes, and the namespace for them."""
    if not cluster.find(f"/api/v1/namespaces/{NAMESPACE}"):
        cluster.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    (routes,) = (
        each.inputs
        for each in built("local").of_kind("CustomResourceDefinition")
        if each.inputs["metadata"]["name"] == "httproutes.gateway.networking.k8s.io"
    )
    place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io"
    cluster.apply(place, routes)
    with Platform.connect(kubeconfig=plane.kubeconfig, name="test") as found:
        cluster.eventually("routes", lambda: any(kind.kind == "HTTPRoute" for kind in kinds(found.api)))
        yield found


@pytest.fixture
def model(platform: Platform, request: pytest.FixtureRequest) -> str:
    """A model of the test's own, whose version 3 has all traffic."""
    name = request.node.name.replace("_", "-")[:40].strip("-")
    traffic.create(platform, traffic.new(name, "3"))
    return name


def test_a_route_comes_back_as_it_was_written(platform: Platform, model: str) -> None:
    traffic.change(
        platform,
        model,
        lambda route: (
            route.weighed({"3": 900, "4": 100})
            .shadowed("5")
            .divided({"stable": "3", "canary": "4"})
            .noted(traffic.STEERED, {"by": "somebody"})
        ),
    )
    found = traffic.require(platform, model)
    assert found.weights == {"3": 900, "4": 100}
    assert found.variants == {"stable": "3", "canary": "4"}
    assert (found.shadow, found.note(traffic.STEERED)) == ("5", {"by": "somebody"})
    back = traffic.change(platform, model, lambda route: route.shadowed(None).divided({}))
    assert (back.variants, back.shadow, back.weights) == ({}, None, found.weights)


def test_of_many_who_change_a_route_at_once_nobody_loses_a_change(platform: Platform, model: str) -> None:
    writers, changes = 6, 8
    failures: list[BaseException] = []

    def one_more(route: Route) -> Route:
        note = route.note(traffic.STEERED) or {"count": 0}
        return route.noted(traffic.STEERED, {"count": note["count"] + 1})

    def write() -> None:
        try:
            for _ in range(changes):
                traffic.change(platform, model, one_more)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert traffic.require(platform, model).note(traffic.STEERED) == {"count": writers * changes}


def test_what_the_api_server_refuses_is_told_in_its_words(platform: Platform, model: str) -> None:
    with pytest.raises(ClientError, match=rf"HTTPRoute workloads/{model} was refused: .*weight"):
        traffic.change(platform, model, lambda route: route.weighed({"3": 1_000_001}))
    assert traffic.require(platform, model).weights == {"3": 1000}


@pytest.fixture
def account(
    platform: Platform,
    cluster: Cluster,
    plane: ControlPlane,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """The bandit's account for the model, as its pod has it."""
    monkeypatch.setattr(gateway, "ACCOUNT", tmp_path)
    host, _, port = plane.server.removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    objects = workloads.manifest("steer_traffic", "image:1", arguments=["--set", f"model={model}"])
    served = kinds(platform.api)
    for item in objects:
        if item["kind"] != "Deployment":
            apply(platform, served, main.NAME, item)
    token = cluster.create(
        f"{CORE}/serviceaccounts/{main.NAME}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    (tmp_path / "token").write_text(token["status"]["token"])
    (tmp_path / "ca.crt").write_text((plane.pki.folder / "ca.crt").read_text())
    return model


def test_the_bandit_moves_the_weights_of_what_it_has_read_and_of_nothing_newer(
    platform: Platform, account: str
) -> None:
    traffic.change(platform, account, lambda route: route.weighed({"3": 500, "4": 500}).divided({"a": "3"}))
    here = gateway.Gateway(account)
    old = here.read()
    assert old is not None
    note = Note(main.NAME, "2013-07-01", ["3", "4"])
    assert here.write(old, note)
    assert not here.write(old, note), "it was changed since"
    read = here.read()
    assert read is not None
    move = decide(config.reference(), read, note, {"3": (300, 150), "4": (300, 270)})
    assert here.write(read, move.note, move)
    found = traffic.require(platform, account)
    assert (found.weights, found.variants) == ({"3": 400, "4": 600}, {"a": "3"})
    assert (found.note(traffic.STEERED) or {})["moves"] == 1


def test_the_bandits_account_opens_no_other_route_and_nothing_else(platform: Platform, account: str) -> None:
    traffic.create(platform, traffic.new(f"{account[:30]}-other", "3"))
    with pytest.raises(requests.HTTPError, match="403"):
        gateway.Gateway(f"{account[:30]}-other").read()
    secrets = gateway.Gateway(account)
    secrets.url = secrets.url.partition("/apis/")[0] + f"{CORE}/secrets"
    with pytest.raises(requests.HTTPError, match="403"):
        secrets.read()
