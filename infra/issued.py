"""Certificates that cert-manager makes, keeps in a Secret and renews."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra import kube

API = "cert-manager.io/v1"
READY = {"pulumi.com/waitFor": "condition=Ready"}
"""Annotation of what counts as made when its controller says so."""


def certificate(
    metadata: Mapping[str, Any], issuer: Any, names: Sequence[str], *, more: Mapping[str, Any] | None = None
) -> kube.Manifest:
    """For these DNS names, in the Secret of the same name: `tls.crt`, `tls.key`, the signer's as `ca.crt`.

    It lasts for 90 days and is renewed, with a new key, when a third of them is left. `issuer` is the name of
    an Issuer in the same namespace; `more` are further fields.
    """
    spec = {
        "secretName": metadata["name"],
        "dnsNames": list(names),
        # Said although it is the default: only then is a change of it taken up before the next renewal.
        "duration": "2160h0m0s",
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": issuer},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth", "client auth"],
        "secretTemplate": {"labels": kube.PART_OF},
    }
    awaited = {**metadata, "annotations": {**metadata.get("annotations", {}), **READY}}
    return kube.object_of(API, "Certificate", awaited, {**spec, **(more or {})})
