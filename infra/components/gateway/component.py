"""Envoy Gateway, the platform's Gateway, and the keys of those who may use it."""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, controllers, issued, kube, patching, pods
from infra.components.gateway import patches, policies, rights
from infra.components.gateway.settings import GatewaySettings
from infra.controllers import Upstream
from infra.releases import Release
from infra.secrets import ExistingSecret, GeneratedSecret
from infra.upstream import Manifest

NAME = "gateway"
CONTROLLER = "envoy-gateway"
_CLASS = "seatrial"
_API = "gateway.networking.k8s.io/v1"
_PATIENCE = {"timeoutSeconds": 5}
_LEADERSHIP = {"leaseDuration": "60s", "renewDeadline": "40s", "retryPeriod": "5s"}
"""Who cannot renew in time ends itself: 10 seconds, the default, are short on a machine at work."""
_INNER_LIFE = "43800h0m0s"
"""Of the certificates between Envoy Gateway and its proxies: five years, as its own Job gives them. A proxy
reads its own when it starts, and not when it is renewed.
"""


@dataclass(frozen=True, kw_only=True)
class GatewayInputs:
    """What other components must hand over."""

    namespace: str
    controller: Upstream
    definitions: Release
    """Of the kinds, which the controller's chart leaves to another."""
    proxy_image: str
    issuer: pulumi.Input[str]
    """Name of the Issuer of its certificates, in the same namespace."""
    gateway: str
    """Name of the Gateway; routes name it as their parent."""
    listener: str
    port: int
    service: str
    """Name of the Service in front of the proxies."""
    secret: str
    """Name of the Secret with its certificate."""
    key_header: str
    key_secret: str
    """Name of the Secret with a tenant's key, with `{tenant}`."""
    credential: str
    """Name of the Secret, where routes are, with what they may have shown to their backends."""
    domain: str
    """What the hosts of routes end with."""
    routes_from: str
    """The namespace whose routes it takes."""
    repeatable: str
    """Label of those whose requests may be sent again."""


class Gateway(pulumi.ComponentResource):
    url: pulumi.Output[str]
    """Where requests come to from inside; their host picks the route. Known once it takes requests."""
    authority: pulumi.Output[str]
    """Whoever asks verifies its certificate with this one."""
    keys: dict[str, pulumi.Output[str]]
    """Of each tenant."""

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        inputs: GatewayInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Gateway", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        certificate = self._certificate(inputs.secret, self._names())
        secrets = {tenant: self._key(tenant) for tenant in settings.tenants}
        self._credential()
        controller = controllers.register(
            [*self._definitions(), *self._chart(), *rights.roles()],
            self._child,
            self._hmac(),
            self._inner_certificates(),
        )
        self._watch()
        gateway = self._gateway([*controller.ready, certificate, *secrets.values()])
        metadata = self._metadata(inputs.gateway)
        policy = policies.objects(
            settings, metadata, inputs.gateway, inputs.key_header, [self._key_name(each) for each in secrets]
        )
        of_routes = kube.metadata("repeatable", inputs.routes_from, component=NAME)
        policy.append(policies.repeated(settings, of_routes, inputs.repeatable))
        guarded = charts.register(policy, kube.after(self._child, gateway))
        address = f"https://{inputs.service}.{inputs.namespace}.svc.cluster.local"
        self.url = pulumi.Output.all(*(each.output("metadata") for each in guarded)).apply(lambda _: address)
        made = ExistingSecret(inputs.secret, inputs.namespace, self._child, made_by=certificate)
        self.authority = made.value("ca.crt")
        self.keys = {tenant: secret.value(tenant) for tenant, secret in secrets.items()}
        self.register_outputs({"url": self.url})

    def _definitions(self) -> list[Manifest]:
        name = f"{CONTROLLER}-definitions"
        return charts.render(name, self._inputs.definitions, [patching.leave_out_descriptions])

    def _chart(self) -> list[Manifest]:
        image = self._inputs.controller.image
        return charts.render(
            CONTROLLER,
            self._inputs.controller.release,
            [
                patches.leave_out_certgen,
                patching.use_images({patching.repository(image): image}),
                patching.with_resources(self._settings.controller),
            ],
            values=self._values(),
            namespace=self._inputs.namespace,
        )

    def _values(self) -> dict[str, Any]:
        return {
            "global": {
                "images": {
                    "envoyGateway": {"image": self._inputs.controller.image, "pullPolicy": "IfNotPresent"}
                }
            },
            "deployment": {"envoyGateway": {"livenessProbe": _PATIENCE, "readinessProbe": _PATIENCE}},
            "config": {"envoyGateway": {"provider": {"kubernetes": {"leaderElection": _LEADERSHIP}}}},
            # It would look at each pod that is placed, for a proxy to prefer backends of its zone.
            "topologyInjector": {"enabled": False},
        }

    def _names(self) -> list[str]:
        service, namespace = self._inputs.service, self._inputs.namespace
        inside = [service, f"{service}.{namespace}", *_full(service, namespace)]
        return [*inside, f"*.{self._inputs.domain}", *self._settings.hosts]

    def _certificate(self, name: str, names: list[str], **more: str) -> kube.Object:
        manifest = issued.certificate(self._metadata(name), self._inputs.issuer, names, more=more)
        return kube.Object(manifest, self._child)

    def _inner_certificates(self) -> list[kube.Object]:
        """By which Envoy Gateway and its proxies know each other; it has fixed names for their Secrets."""
        namespace = self._inputs.namespace
        names = {
            CONTROLLER: [CONTROLLER, f"{CONTROLLER}.{namespace}", *_full(CONTROLLER, namespace)],
            "envoy": [f"*.{namespace}"],
        }
        return [self._certificate(name, each, duration=_INNER_LIFE) for name, each in names.items()]

    def _hmac(self) -> kube.Object:
        """For logins by OpenID Connect, which a route may ask for."""
        metadata = self._metadata("envoy-oidc-hmac")
        return GeneratedSecret(metadata, random=("hmac-secret",), opts=self._child)

    def _key(self, tenant: str) -> GeneratedSecret:
        """A Secret for each, because an entry that is added later would stay empty (infra/secrets.py)."""
        return GeneratedSecret(self._metadata(self._key_name(tenant)), random=(tenant,), opts=self._child)

    def _credential(self) -> None:
        """Envoy Gateway reads it from the namespace of the filter that names it, under this key."""
        metadata = kube.metadata(self._inputs.credential, self._inputs.routes_from, component=NAME)
        GeneratedSecret(metadata, random=("credential",), opts=self._child)

    def _key_name(self, tenant: str) -> str:
        return self._inputs.key_secret.format(tenant=tenant)

    def _gateway(self, needed: list[kube.Object]) -> kube.Object:
        inputs = self._inputs
        proxies = kube.Object(
            kube.object_of(policies.API, "EnvoyProxy", self._metadata(inputs.gateway), self._proxy()),
            kube.after(self._child, *needed),
        )
        parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy"}
        parameters |= {"name": inputs.gateway, "namespace": inputs.namespace}
        known = kube.Object(
            kube.object_of(
                _API,
                "GatewayClass",
                kube.metadata(_CLASS, component=NAME, annotations=_awaited("Accepted")),
                {
                    "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
                    "parametersRef": parameters,
                },
            ),
            kube.after(self._child, proxies),
        )
        metadata = {**self._metadata(inputs.gateway), "annotations": _awaited("Programmed")}
        spec = {"gatewayClassName": _CLASS, "listeners": [self._listener()]}
        return kube.Object(kube.object_of(_API, "Gateway", metadata, spec), kube.after(self._child, known))

    def _proxy(self) -> dict[str, Any]:
        settings = self._settings
        container = {"image": self._inputs.proxy_image, "resources": settings.proxy.manifest()}
        kubernetes = {
            "envoyDeployment": {"name": NAME, "replicas": settings.proxies, "container": container},
            "envoyService": {"name": self._inputs.service, "type": settings.service},
        }
        return {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}

    def _listener(self) -> dict[str, Any]:
        inputs = self._inputs
        certificate = {"group": "", "kind": "Secret", "name": inputs.secret}
        selector = {"matchLabels": {"kubernetes.io/metadata.name": inputs.routes_from}}
        return {
            "name": inputs.listener,
            "protocol": "HTTPS",
            "port": inputs.port,
            "tls": {"mode": "Terminate", "certificateRefs": [certificate]},
            "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}},
        }

    def _watch(self) -> None:
        """Of Envoy Gateway by its Service, of the proxies, which it makes, by their pods."""
        controller = pods.service_monitor(
            self._metadata(CONTROLLER), {"control-plane": CONTROLLER}, {"port": "metrics"}
        )
        kube.Object(controller, self._child)
        selector = {"matchLabels": {"gateway.envoyproxy.io/owning-gateway-name": self._inputs.gateway}}
        endpoint = {"port": "metrics", "path": "/stats/prometheus"}
        spec = {"selector": selector, "podMetricsEndpoints": [endpoint]}
        monitor = kube.object_of("monitoring.coreos.com/v1", "PodMonitor", self._metadata(NAME), spec)
        kube.Object(monitor, self._child)

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)


def _full(service: str, namespace: str) -> tuple[str, str]:
    return f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"


def _awaited(condition: str) -> dict[str, str]:
    return {"pulumi.com/waitFor": f"condition={condition}"}
