"""The few certificates that a control plane on loopback needs."""

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pki:
    folder: Path

    def data(self, name: str) -> str:
        """A file as a kubeconfig holds it."""
        return base64.b64encode((self.folder / name).read_bytes()).decode()


def make(folder: Path) -> Pki:
    folder.mkdir(mode=0o700)
    ca_key = _key(folder / "ca.key")
    ca_name = _name("test-ca")
    ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(True, None), True)
    _write(folder / "ca.crt", ca.sign(ca_key, hashes.SHA256()))
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = _builder(_name("kube-apiserver"), ca_name, key := _key(folder / "server.key"))
    server = server.add_extension(x509.SubjectAlternativeName(names), False)
    _write(folder / "server.crt", server.sign(ca_key, hashes.SHA256()))
    admin = _builder(_name("admin", "system:masters"), ca_name, key := _key(folder / "admin.key"))
    _write(folder / "admin.crt", admin.sign(ca_key, hashes.SHA256()))
    del key
    _key(folder / "accounts.key")
    return Pki(folder)


def _name(common: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    path.write_bytes(pem)
    path.chmod(0o600)
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
