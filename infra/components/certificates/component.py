"""cert-manager, and the platform's own authority."""

from dataclasses import dataclass

import pulumi

from infra.components.certificates.settings import CertificatesSettings


@dataclass(frozen=True, kw_only=True)
class CertificatesInputs:
    """What other components must hand over."""

    namespace: str


class Certificates(pulumi.ComponentResource):
    def __init__(
        self,
        name: str,
        settings: CertificatesSettings,
        inputs: CertificatesInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Certificates", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self.register_outputs({})
