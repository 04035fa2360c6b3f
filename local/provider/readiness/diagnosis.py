"""Why an object is not ready: what its pods, their containers and its events say."""

from collections.abc import Iterator
from typing import Any, Final

from local.provider import objects
from local.provider.errors import ProviderError
from local.provider.objects import Object, condition, pluck
from local.provider.session import Session

_PODS: Final = 3
_EVENTS: Final = 3
_LOG_LINES: Final = 5
_NORMAL: Final = frozenset({"ContainerCreating", "PodInitializing", ""})


def diagnose(session: Session, live: Object) -> list[str]:
    """One line or a few for each thing that is wrong; a diagnosis that fails is no diagnosis."""
    try:
        reasons = _event_texts(session, live)
        for pod in _pods(session, live):
            reasons += [f"Pod {objects.name(pod)}: {text}" for text in _pod_texts(session, pod)]
    except ProviderError:
        return []
    return list(dict.fromkeys(reasons))


def _pods(session: Session, live: Object) -> list[Object]:
    """The object's own pods that are not ready, newest first."""
    if live.get("kind") == "Pod":
        return [live]
    selector = pluck(live, "spec", "selector")
    labels = selector.get("matchLabels", selector) if isinstance(selector, dict) else {}
    simple = {key: value for key, value in labels.items() if isinstance(value, str)}
    if not simple or live.get("kind") == "Service":
        return []
    query = ",".join(f"{key}={value}" for key, value in simple.items())
    path = f"/api/v1/namespaces/{objects.namespace(live)}/pods"
    items: list[Object] = session.api.get(path, labelSelector=query).get("items") or []
    unready = [pod for pod in items if condition(pod, "Ready").get("status") != "True"]
    unready.sort(key=lambda pod: str(pluck(pod, "metadata", "creationTimestamp")), reverse=True)
    return [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in unready[:_PODS]]


def _pod_texts(session: Session, pod: Object) -> Iterator[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"[{scheduled.get('reason')}] {scheduled.get('message')}"
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("message"):
        yield f"[{status.get('reason')}] {status['message']}"
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or []:
            if not container.get("ready"):
                yield from _container_texts(session, pod, container)
    yield from _event_texts(session, pod)


def _container_texts(session: Session, pod: Object, container: Object) -> Iterator[str]:
    name = container.get("name")
    waiting = pluck(container, "state", "waiting") or {}
    if waiting.get("reason", "") not in _NORMAL:
        yield f"container {name}: [{waiting['reason']}] {waiting.get('message', '')}".rstrip()
    ended = pluck(container, "state", "terminated") or pluck(container, "lastState", "terminated") or {}
    if not ended or ended.get("exitCode") == 0:
        return
    yield f"container {name} ended with exit code {ended.get('exitCode')} ({ended.get('reason', 'Error')})"
    message = str(ended.get("message") or "").strip() or _last_log(session, pod, container)
    if message:
        yield f"container {name} said last: {message}"


def _last_log(session: Session, pod: Object, container: Object) -> str:
    previous = "false" if pluck(container, "state", "terminated") else "true"
    path = f"/api/v1/namespaces/{objects.namespace(pod)}/pods/{objects.name(pod)}/log"
    try:
        log = session.api.text(
            path, container=str(container.get("name")), tailLines=str(_LOG_LINES), previous=previous
        )
    except ProviderError:
        return ""  # no kubelet answers, or the log is gone
    return log.strip()


def _event_texts(session: Session, obj: Object) -> list[str]:
    namespace = objects.namespace(obj)
    uid = pluck(obj, "metadata", "uid")
    if not namespace or not uid:
        return []
    found: Any = session.api.get(
        f"/api/v1/namespaces/{namespace}/events", fieldSelector=f"involvedObject.uid={uid},type=Warning"
    )
    items = found.get("items") or []
    items.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"[{event.get('reason')}] {event.get('message')}" for event in items[-_EVENTS:]]
