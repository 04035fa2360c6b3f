"""What the operations share once the provider is configured: API, discovery, arguments and engine."""

import threading
from dataclasses import dataclass, field

from local.provider import kubeconfig
from local.provider.config import Config
from local.provider.discovery import Discovery, Place
from local.provider.engine import Engine
from local.provider.errors import ProviderError, Unreachable
from local.provider.http import REQUEST_SECONDS, Api, Limit
from local.provider.kinds import Kind


@dataclass
class Session:
    """A configured provider."""

    config: Config
    engine: Engine
    namespace: str
    """What objects get that name no namespace of their own."""
    connection: Api | None
    unreachable: str
    """Why there is no API server to talk to; empty when there is one."""
    discovery: Discovery
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def api(self) -> Api:
        if self.connection is None:
            raise Unreachable(f"the Kubernetes cluster is unreachable: {self.unreachable}")
        return self.connection

    @property
    def reachable(self) -> bool:
        return self.connection is not None

    def place(self, kind: Kind) -> Place:
        if self.connection is None:
            raise Unreachable(f"the Kubernetes cluster is unreachable: {self.unreachable}")
        return self.discovery.place(kind)

    def cancel(self) -> None:
        self.cancelled.set()
        if self.connection is not None:
            self.connection.cancelled.set()


def open_session(config: Config, engine: Engine) -> Session:
    """Connect as the arguments say. An unreachable cluster is no error yet: a preview does without."""
    namespace, api, why = config.namespace, None, ""
    try:
        access = kubeconfig.resolve(kubeconfig.load(config.kubeconfig), config.choice)
        namespace = namespace or access.namespace
        api = _connect(config, access)
    except ProviderError as error:
        why = str(error)
    return Session(config, engine, namespace or "default", api, why, Discovery(api))


def _connect(config: Config, access: kubeconfig.Access) -> Api:
    settings = config.client
    limit = Limit(settings.qps, settings.burst or int(settings.qps * 2)) if settings.qps else None
    api = Api(access, timeout=settings.timeout or REQUEST_SECONDS, limit=limit)
    api.get("/version")
    return api
