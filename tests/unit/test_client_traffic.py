"""The HTTPRoute of a model: what is read of it, how it is changed, and what when another was quicker."""

import copy
from typing import Any

import jsonschema
import pytest
from kubernetes import client as k8s

from client import traffic
from client.errors import ClientError
from client.traffic import Route, apportioned, with_share
from infra import outputs
from tests.unit.rollout_world import World
from tests.unit.test_infra_definitions import definitions

PUBLISHED = [{"type": "PathPrefix", "value": path} for path in ("/v1/models", "/v2")]
"""On the same port a model server tells its metrics, its run and its digest, which are not for tenants."""


def test_a_new_route_gives_the_first_version_everything() -> None:
    route = traffic.new("delay", "3")
    assert route.item["spec"] == {
        "parentRefs": [{"name": "platform", "namespace": "platform-serving", "sectionName": "https"}],
        "hostnames": ["delay.platform.test"],
        "rules": [
            {
                "name": "default",
                "backendRefs": [{"name": "delay-v3-predictor", "port": 80, "weight": 1000}],
                "matches": [{"path": path} for path in PUBLISHED],
            }
        ],
    }
    assert (route.weights, route.variants, route.shadow) == ({"3": 1000}, {}, None)
    assert route.item["metadata"]["labels"][outputs.REPEATABLE_LABEL] == "true"


def test_variants_stand_before_the_default_rule_and_are_replaced_as_a_whole() -> None:
    route = traffic.new("delay", "3").divided({"stable": "3", "canary": "4"})
    names = [rule["name"] for rule in route.item["spec"]["rules"]]
    assert names == ["variant-stable", "variant-canary", "default"]
    header = {"type": "Exact", "name": "x-variant", "value": "canary"}
    assert route.item["spec"]["rules"][1]["matches"] == [
        {"headers": [header], "path": path} for path in PUBLISHED
    ]
    assert (route.variants, route.weights) == ({"stable": "3", "canary": "4"}, {"3": 1000})
    assert route.divided({"b": "5"}).variants == {"b": "5"}
    assert route.divided({}) == traffic.new("delay", "3")


def test_each_change_leaves_the_rest_of_the_route_as_it_was() -> None:
    first = traffic.new("delay", "3").divided({"old": "2"})
    first.item["spec"]["rules"][-1]["filters"] = [{"type": "RequestHeaderModifier"}]
    route = first.weighed({"3": 900, "4": 100, "5": 0}).shadowed("6").noted(traffic.STEERED, {"by": "b"})
    assert (route.weights, route.shadow) == ({"3": 900, "4": 100}, "6")
    assert route.named == {"2", "3", "4", "6"}
    assert route.note(traffic.STEERED) == {"by": "b"}
    back = route.weighed({"3": 1000}).shadowed(None).noted(traffic.STEERED, None)
    assert back.item["spec"] == first.item["spec"]
    assert first.weights == {"3": 1000}, "a change is another route"


@pytest.mark.parametrize("every", [{}, {"path": {"type": "PathPrefix", "value": "/"}}])
def test_a_route_from_before_is_read_and_narrowed_with_its_next_change(every: dict[str, Any]) -> None:
    """Where a rule names no path, the API server writes one that is the beginning of all."""
    new = traffic.new("delay", "3").divided({"old": "2"})
    older = Route(copy.deepcopy(new.item))
    variant, default = older.item["spec"]["rules"]
    variant["matches"] = [{**every, "headers": variant["matches"][0]["headers"]}]
    default["matches"] = [every] if every else []
    assert (older.weights, older.variants, older.shadow) == ({"3": 1000}, {"old": "2"}, None)
    assert older.weighed({"3": 1000}).item == new.item
    assert older.divided({"old": "2"}).item == new.item


def test_a_path_that_somebody_chose_stays() -> None:
    route = traffic.new("delay", "3")
    chosen = [{"path": {"type": "Exact", "value": "/v2/models/delay/infer"}}]
    route.item["spec"]["rules"][0]["matches"] = chosen
    assert route.weighed({"4": 1000}).item["spec"]["rules"][0]["matches"] == chosen


def test_a_service_that_is_of_no_version_is_refused() -> None:
    route = traffic.new("delay", "3")
    route.item["spec"]["rules"][0]["backendRefs"][0]["name"] = "delay"
    with pytest.raises(ClientError, match="names Service 'delay', which is of no version of delay"):
        _ = route.weights


def test_weights_add_up_and_are_as_near_to_the_shares_as_can_be() -> None:
    assert apportioned({"a": 1, "b": 1, "c": 1}) == {"a": 334, "b": 333, "c": 333}
    assert apportioned({"a": 0.9996, "b": 0.0004}) == {"a": 1000, "b": 0}
    assert with_share({"3": 1000}, "4", 1) == {"3": 990, "4": 10}
    assert with_share({"2": 100, "3": 300, "4": 600}, "4", 20) == {"2": 200, "3": 600, "4": 200}
    assert with_share({"2": 100, "3": 300}, "4", 100) == {"2": 0, "3": 0, "4": 1000}
    assert with_share({"4": 7}, "4", 20) == {"4": 1000}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    traffic.create(made.platform, traffic.new("delay", "3"))
    return made


def test_a_change_that_another_was_quicker_than_is_decided_anew(world: World) -> None:
    def quicker() -> None:
        world.write(lambda route: route.weighed({"3": 500, "5": 500}))

    world.writers.append(quicker)
    looks: list[dict[str, int]] = []

    def make(route: Route) -> Route:
        looks.append(route.weights)
        return route.weighed(with_share(route.weights, "4", 10))

    traffic.change(world.platform, "delay", make)
    assert looks == [{"3": 1000}, {"3": 500, "5": 500}]
    assert world.now.weights == {"3": 450, "5": 450, "4": 100}


def test_others_that_are_always_quicker_are_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def conflict(_: Any, method: str, path: str, **__: Any) -> str:
        if method == "PUT":
            raise k8s.ApiException(status=409)
        return world.request(None, method, path)

    monkeypatch.setattr(traffic, "request", conflict)
    with pytest.raises(ClientError, match="was changed by others 20 times in a row"):
        traffic.change(world.platform, "delay", lambda route: route)


def test_a_model_without_traffic_and_a_cluster_without_routes_are_told_apart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any, **__: Any) -> str:
        raise k8s.ApiException(status=404)

    monkeypatch.setattr(traffic, "request", absent)
    assert traffic.read(world.platform, "delay") is None
    with pytest.raises(ClientError, match="model 'delay' has no traffic"):
        traffic.change(world.platform, "delay", lambda route: route)
    with pytest.raises(ClientError, match="the cluster does not serve HTTPRoutes"):
        traffic.create(world.platform, traffic.new("delay", "3"))


def test_a_host_that_another_route_has_is_not_taken(world: World) -> None:
    """A model called `booking` would have the application's."""
    application = traffic.new("booking", "1").item
    application["metadata"]["name"] = "booking-api"
    world.others, world.route = [application], None
    with pytest.raises(ClientError, match="HTTPRoute workloads/booking-api has the host"):
        traffic.create(world.platform, traffic.new("booking", "1"))
    assert world.route is None
    assert traffic.create(world.platform, traffic.new("delay", "3")).name == "delay"


def held(accepted: str, resolved: str, observed: int = 2) -> Route:
    conditions = [
        {"type": "Accepted", "status": accepted, "observedGeneration": observed},
        {"type": "ResolvedRefs", "status": resolved, "observedGeneration": observed, "message": "no Service"},
    ]
    return Route({"status": {"parents": [{"conditions": conditions}]}})


def test_a_change_is_in_force_when_the_gateway_has_seen_and_taken_it() -> None:
    assert traffic.obstacle(held("True", "True"), 2) == ""
    assert traffic.obstacle(held("True", "True"), 3) == "the Gateway has not looked at the last change"
    assert traffic.obstacle(held("True", "False"), 2) == "ResolvedRefs is False: no Service"
    assert traffic.obstacle(Route({}), 1) == "no Gateway has looked at it"


def test_a_route_that_the_gateway_refuses_is_told_with_its_reason(world: World) -> None:
    assert world.route is not None
    world.route["status"] = held("True", "False").item["status"]
    with pytest.raises(
        ClientError, match="the Gateway does not take HTTPRoute workloads/delay: ResolvedRefs"
    ):
        traffic.in_force(world.platform, Route({"metadata": {"name": "delay", "generation": 2}}))


def test_all_that_is_written_fits_the_definition_of_routes() -> None:
    """The API server would drop an unknown field, and a filter or header match with it."""
    definition = definitions("local")["gateway.networking.k8s.io/v1", "HTTPRoute"]
    route = traffic.new("delay", "3").divided({"stable": "3", "canary": "4"})
    route = route.weighed({"3": 900, "4": 100}).shadowed("5").noted(traffic.STEERED, {"by": "steer-traffic"})
    fitting = jsonschema.Draft7Validator(definition)
    assert [error.message for error in fitting.iter_errors(route.item)] == []
    route.item["spec"]["rules"][-1]["filters"][0]["requestMirror"]["percentage"] = 10
    assert len(list(fitting.iter_errors(route.item))) == 1
