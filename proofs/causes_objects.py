"""Objects of the proofs' own that are as they must not be: a rule, a pod, two certificates."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import client
from client import Platform, outputs
from client.waiting import until
from proofs import alarms, probe
from proofs.exporter import PATIENCE, TARGET, watched
from proofs.scene import Scene
from workloads import pods

RULE, DEAF, ENDS, UNMADE = "probe-fails", "probe-deaf", "probe-ends", "probe-unmade"
CANNOT = "probe:cannot_be_evaluated"
LIFE, LEFT = timedelta(hours=24), timedelta(hours=1)
"""Of the certificate that ends: cert-manager renews when a third is left, which is eight hours."""
MODEL_PORT = 8080


def clear(platform: Platform) -> None:
    """What a killed run left goes: it would be alarmed about before anything is caused."""
    for name in (RULE, DEAF, ENDS, UNMADE):
        client.delete_workloads(platform, name)


@contextmanager
def added(scene: Scene, name: str, *objects: dict[str, Any]) -> Iterator[None]:
    """These objects are there meanwhile."""
    try:
        client.deploy(scene.platform, name, list(objects))
        yield
    finally:
        client.delete_workloads(scene.platform, name)


@contextmanager
def rule_fails(scene: Scene) -> Iterator[None]:
    """A rule can be read and not evaluated: many targets are up on both sides of its operator. Prometheus has
    read it, and delivers alerts again.
    """
    rule = {"record": CANNOT, "expr": "up + on() up"}
    spec = {"groups": [{"name": RULE, "interval": "5s", "rules": [rule]}]}
    with added(scene, RULE, watched("monitoring.coreos.com/v1", "PrometheusRule", RULE, spec)):
        until(
            lambda: alarms.health(scene.platform, CANNOT) is not None,
            f"Prometheus to read rule {CANNOT}",
            PATIENCE,
        )
        until(lambda: alarms.delivers(scene.platform), "Prometheus to know an Alertmanager", PATIENCE)
        yield


@contextmanager
def target_refuses(scene: Scene) -> Iterator[None]:
    """A page that Prometheus reads is answered with 503."""
    scene.exporter.refuse(TARGET, True)
    try:
        yield
    finally:
        scene.exporter.refuse(TARGET, False)


@contextmanager
def model_is_deaf(scene: Scene) -> Iterator[None]:
    """A pod that is labelled as one of a served model listens to nobody."""
    with added(scene, DEAF, deaf_pod(probe.workload_image(scene.platform))):
        yield


def deaf_pod(image: str) -> dict[str, Any]:
    main = pods.container(image, "-", [], cpu="20m", memory="64Mi", memory_limit="128Mi")
    main["command"] = ["python3", "-c", "import time; time.sleep(86400)"]
    main["ports"] = [{"name": "http", "containerPort": MODEL_PORT}]
    template = pods.pod(DEAF, main, restartPolicy="Always")
    template["metadata"]["labels"]["serving.kserve.io/inferenceservice"] = DEAF
    selector = {"matchLabels": {"app.kubernetes.io/name": DEAF}}
    spec = {"replicas": 1, "selector": selector, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(DEAF), "spec": spec}


@contextmanager
def certificate_ends(scene: Scene) -> Iterator[None]:
    """A certificate should have been renewed long ago, and nobody renews it: its Issuer is not there."""
    with added(scene, ENDS, secret(ENDS), certificate(ENDS)):
        yield


@contextmanager
def certificate_is_not_made(scene: Scene) -> Iterator[None]:
    """A certificate is asked of an Issuer that is not there."""
    with added(scene, UNMADE, certificate(UNMADE)):
        yield


def certificate(name: str) -> dict[str, Any]:
    spec = {
        "secretName": name,
        "dnsNames": [f"{name}.{outputs.DOMAIN}"],
        "duration": f"{LIFE.total_seconds() / 3600:.0f}h0m0s",
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "nobody"},
        "privateKey": {"algorithm": "ECDSA", "size": 256},
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": _metadata(name),
        "spec": spec,
    }


def secret(name: str) -> dict[str, Any]:
    """With a certificate of which LEFT of its LIFE is left, as an issuer that is gone would have left it."""
    key, ends = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) + LEFT
    host = f"{name}.{outputs.DOMAIN}"
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - LIFE)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    data = {
        "tls.crt": made.public_bytes(pem),
        "tls.key": key.private_bytes(pem, form, serialization.NoEncryption()),
    }
    encoded = {file: base64.b64encode(content).decode() for file, content in data.items()}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": _metadata(name),
        "data": encoded,
    }  # fmt: skip


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": outputs.NAMESPACE_WORKLOADS}
