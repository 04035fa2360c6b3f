"""cert-manager, and the platform's own authority."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, controllers, issued, kube, patching, pods
from infra.components.certificates import patches
from infra.components.certificates.settings import CertificatesSettings
from infra.releases import Release
from infra.upstream import Manifest

NAME = "cert-manager"
_PATIENCE = {"timeoutSeconds": 5}
"""Of probes: a second is short on a machine at work, and a webhook without a ready pod refuses everything."""
_LIFE = "87600h0m0s"
"""Of the authority: ten years, as long as clusters keep theirs."""


@dataclass(frozen=True, kw_only=True)
class CertificatesInputs:
    """What other components must hand over."""

    namespace: str
    release: Release
    images: tuple[str, ...]
    """References of the controller's, the webhook's and the injector's image."""
    issuer: str
    """Name of the Issuer that the platform's certificates come from, and of its authority."""


class Certificates(pulumi.ComponentResource):
    issuer: pulumi.Output[str]
    """The Issuer's name, known once it signs. It serves its own namespace, where no user makes anything."""

    def __init__(
        self,
        name: str,
        settings: CertificatesSettings,
        inputs: CertificatesInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Certificates", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        child = pulumi.ResourceOptions(parent=self)
        hooks: list[Manifest] = []
        others: list[Manifest] = []
        for each in self._chart():
            (hooks if each["kind"].endswith("WebhookConfiguration") else others).append(each)
        made = controllers.register(others, child)
        # Not before the injector runs: they wait for what it writes into them.
        asked = charts.register(hooks, kube.after(child, *made.ready))
        selector = {"app.kubernetes.io/instance": NAME}
        # Controller, webhook and injector; their Services call the port by different names.
        kube.Object(
            pods.service_monitor(self._metadata(NAME), selector, {"targetPort": "http-metrics"}), child
        )
        self.issuer = self._authority(kube.after(child, *asked)).output("metadata")["name"]
        self.register_outputs({"issuer": self.issuer})

    def _chart(self) -> list[Manifest]:
        return charts.render(
            NAME,
            self._inputs.release,
            [
                patching.leave_out_descriptions,
                patching.use_images({patching.repository(each): each for each in self._inputs.images}),
                patches.count_as_available_when_reachable,
                patches.await_authority,
            ],
            values=self._values(),
            namespace=self._inputs.namespace,
        )

    def _values(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "crds": {"enabled": True},
            # A Job that asks whether the webhook answers; the issuers below ask it in earnest.
            "startupapicheck": {"enabled": False},
            "global": {"leaderElection": {"namespace": self._inputs.namespace}},
            "acmesolver": {"image": {"tag": f"v{self._inputs.release.version}"}},
            "resources": settings.controller.manifest(),
            "cainjector": {"resources": settings.injector.manifest()},
            "webhook": {
                "resources": settings.webhook.manifest(),
                "livenessProbe": _PATIENCE,
                "readinessProbe": _PATIENCE,
            },
        }

    def _authority(self, opts: pulumi.ResourceOptions) -> kube.Object:
        """An issuer that signs itself, for one certificate, the platform's authority, which signs the others.

        A renewed authority keeps its key, so what the old one signed holds under the new one too.
        """
        name, signer = self._inputs.issuer, f"{self._inputs.issuer}-root"
        root = kube.Object(self._issuer(signer, {"selfSigned": {}}), opts)
        as_authority = {
            "isCA": True,
            "commonName": f"seatrial-{name}",
            "duration": _LIFE,
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"},
            "usages": ["cert sign", "crl sign"],
        }
        metadata = self._metadata(f"{name}-authority")
        authority = kube.Object(
            issued.certificate(metadata, signer, (), more=as_authority), kube.after(opts, root)
        )
        return kube.Object(
            self._issuer(name, {"ca": {"secretName": metadata["name"]}}), kube.after(opts, authority)
        )

    def _issuer(self, name: str, spec: Mapping[str, Any]) -> kube.Manifest:
        metadata = {**self._metadata(name), "annotations": issued.READY}
        return kube.object_of(issued.API, "Issuer", metadata, spec)

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)
