"""What faults do to routes, to what versions are judged by, and to the log of outcomes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client as k8s
from kubernetes.stream import portforward

from client import Platform, deployments, outputs, traffic
from client.rollout_record import record_of
from client.traffic import ROLLOUT, STEERED, Route
from proofs import booking, rollouts
from proofs.damage import again
from proofs.rollouts import NAME
from proofs.subjects.experiments import SHARES

POLICIES = ("gateway.envoyproxy.io", "v1alpha1", outputs.NAMESPACE_WORKLOADS, "backendtrafficpolicies")
"""That of the routes whose requests may be sent again is called `repeatable`."""

ADMINISTRATION = 19000
"""Port of Envoy's administration, in its pod."""
PROXIES = f"gateway.envoyproxy.io/owning-gateway-name={outputs.GATEWAY}"


def meddling(platform: Platform, wanted: Callable[[Route], bool], make: Callable[[Route], Route]) -> Any:
    """Change the route of the proofs' model whenever it is as is wanted."""

    def act() -> None:
        route = traffic.read(platform, NAME)
        if route is not None and wanted(route):
            traffic.change(platform, NAME, make)

    return again(act, 0.2)


@contextmanager
def killed_proxy(platform: Platform) -> Iterator[None]:
    """The Gateway's proxies end at once, in the middle of the promotion.

    To delete their pods does no harm, whatever the time of grace: they are drained while others begin.
    """
    done: list[str] = []

    def act() -> None:
        route = traffic.read(platform, NAME)
        if done or route is None or len(route.weights) < 2:
            return
        namespace = outputs.NAMESPACE_SERVING
        for pod in platform.core.list_namespaced_pod(namespace, label_selector=PROXIES).items:
            _quit(platform, pod)
            done.append(pod.metadata.name)

    with again(act, 0.2):
        yield


def _quit(platform: Platform, pod: Any) -> None:
    """Envoy ends when its administration is told to; its image has nothing else that could end it."""
    # A client of its own: `portforward` changes the one that it is given while it connects.
    core = k8s.CoreV1Api(k8s.ApiClient(platform.api.configuration))
    connect = core.connect_get_namespaced_pod_portforward
    ports = portforward(connect, pod.metadata.name, pod.metadata.namespace, ports=str(ADMINISTRATION))
    told = ports.socket(ADMINISTRATION)
    told.sendall(
        b"POST /quitquitquit HTTP/1.1\r\nhost: envoy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    while told.recv(4096):
        pass
    told.close()


@contextmanager
def no_retries(platform: Platform) -> Iterator[None]:
    """The Gateway sends nothing again, on whatever route."""
    custom = k8s.CustomObjectsApi(platform.api)
    place = (*POLICIES, "repeatable")
    before = custom.get_namespaced_custom_object(*place)["spec"]["retry"]
    custom.patch_namespaced_custom_object(*place, {"spec": {"retry": None}})
    try:
        yield
    finally:
        custom.patch_namespaced_custom_object(*place, {"spec": {"retry": before}})


@contextmanager
def hurried_service(platform: Platform) -> Iterator[None]:
    """Pods of the booking service end at once, and a rollout takes all of them before it makes others."""
    booking.booked(platform)
    before = booking.deployment(platform).spec
    update, pod = before.strategy.rolling_update, before.template.spec
    (main,) = pod.containers
    namespace = outputs.NAMESPACE_WORKLOADS

    def end(surge: Any, unavailable: Any, seconds: int, lifecycle: Any) -> None:
        strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
        changed = {"name": main.name, "lifecycle": lifecycle}
        template = {"spec": {"terminationGracePeriodSeconds": seconds, "containers": [changed]}}
        body = {"spec": {"strategy": strategy, "template": template}}
        k8s.AppsV1Api(platform.api).patch_namespaced_deployment(booking.NAME, namespace, body)
        deployments.follow(platform, namespace, booking.NAME, 180)

    lifecycle = platform.api.sanitize_for_serialization(main.lifecycle)
    try:
        end(0, "100%", 1, None)
        yield
    finally:
        end(update.max_surge, update.max_unavailable, pod.termination_grace_period_seconds, lifecycle)


def unexpected_requests(platform: Platform) -> Any:
    """Somebody asks the canary that nobody is to ask."""

    def act() -> None:
        route = traffic.read(platform, NAME)
        if route is not None and len(route.weights) > 1:
            rollouts.counted(platform, 50)

    return again(act, 0.2)


def forgotten_rollout(platform: Platform) -> Any:
    """What a rollout has done is taken off its route after its first step."""

    def begun(route: Route) -> bool:
        record = record_of(route)
        return record is not None and not record.ended and record.passed == 1

    return meddling(platform, begun, lambda route: route.noted(ROLLOUT, None))


def lost_shadow(platform: Platform) -> Any:
    return meddling(platform, lambda route: bool(route.shadow), lambda route: route.shadowed(None))


def other_weights(platform: Platform) -> Any:
    """Weights that are asked for are changed as soon as they are there."""
    asked = sorted(SHARES[0].values())
    return meddling(
        platform,
        lambda route: sorted(route.weights.values()) == asked,
        lambda route: route.weighed(dict.fromkeys(route.weights, traffic.TOTAL // 2)),
    )


def lost_variants(platform: Platform) -> Any:
    return meddling(platform, lambda route: bool(route.variants), lambda route: route.divided({}))


@contextmanager
def invented_outcomes(platform: Platform) -> Iterator[None]:
    """The log has outcomes of the proofs' model, by which one of its versions is the better one."""
    booking.booked(platform)  # Its tables are there then.
    made: list[int] = []

    def act() -> None:
        route = traffic.read(platform, NAME)
        if made or route is None or route.note(STEERED) is None:
            return
        with platform.bookings() as database:
            for place, version in enumerate(sorted(route.weights)):
                database.execute(_INVENTED, {"name": NAME, "version": version, "late": float(place)})
        made.append(1)

    try:
        with again(act, 0.2):
            yield
    finally:
        with platform.bookings() as database:
            database.execute("DELETE FROM outcomes WHERE request_id LIKE %s", [f"{NAME}-%"])
            database.execute("DELETE FROM predictions WHERE model = %s", [NAME])


_INVENTED = """
WITH made AS (
    INSERT INTO predictions (request_id, model, version, user_key, features, score, decision, price)
    SELECT %(name)s || '-' || %(version)s || '-' || n, %(name)s, %(version)s, 'nobody', '{}', 0.9,
           'rebooking', 0
    FROM generate_series(1, 100) AS n RETURNING request_id
)
INSERT INTO outcomes (request_id, outcome, source) SELECT request_id, %(late)s, 'fault' FROM made
"""


@contextmanager
def turned_outcomes(platform: Platform) -> Iterator[None]:
    """The log keeps the contrary of each outcome that it is told."""

    booking.booked(platform)  # Its tables are there then.

    def drop(database: Any) -> None:
        database.execute("DROP TRIGGER IF EXISTS turn ON outcomes; DROP FUNCTION IF EXISTS turn()")

    with platform.bookings() as database:
        drop(database)
        database.execute(
            "CREATE FUNCTION turn() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.outcome := 1 - NEW.outcome; RETURN NEW; END $$"
        )
        database.execute("CREATE TRIGGER turn BEFORE INSERT ON outcomes FOR EACH ROW EXECUTE FUNCTION turn()")
    try:
        yield
    finally:
        with platform.bookings() as database:
            drop(database)
