"""Keys and certificates of a cluster, by three authorities (cluster, front proxy, etcd); all files 0600."""

import base64
import datetime
import hashlib
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.cluster.files import write
from local.cluster.layout import API_SERVICE, NODES, Layout

ADMINS = "seatrial:admins"
_YEARS = datetime.timedelta(days=3650)
_MARGIN = datetime.timedelta(minutes=5)
"""A certificate is valid from a little before now, for clocks that differ."""


@dataclass(frozen=True)
class Identity:
    """What a certificate says, and which authority says it."""

    file: str
    authority: str
    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    server: bool = False
    client: bool = True

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


AUTHORITIES = ("ca", "front-proxy-ca", "etcd-ca")


def identities(layout: Layout) -> list[Identity]:
    """Every certificate of the cluster but the short-lived one that grants the administrators their role."""
    api_hosts = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        API_SERVICE,
        layout.control,
    )
    local = ("localhost", "127.0.0.1")
    metrics = ("metrics-server.kube-system.svc", "metrics-server.kube-system.svc.cluster.local")
    return [
        Identity("apiserver", "ca", "kube-apiserver", hosts=api_hosts, server=True, client=False),
        Identity("kubelet-client", "ca", "kube-apiserver-kubelet-client"),
        Identity("controller-manager", "ca", "system:kube-controller-manager"),
        Identity("scheduler", "ca", "system:kube-scheduler"),
        Identity("proxy", "ca", "system:kube-proxy"),
        Identity("admin", "ca", "seatrial-admin", groups=(ADMINS,)),
        Identity("metrics-server", "ca", "metrics-server", hosts=metrics, server=True, client=False),
        Identity("front-proxy", "front-proxy-ca", "front-proxy"),
        Identity("etcd", "etcd-ca", "etcd", hosts=local, server=True),
        Identity("etcd-client", "etcd-ca", "kube-apiserver-etcd-client"),
        *(
            Identity(
                f"node-{node.name}",
                "ca",
                f"system:node:{node.name}",
                groups=("system:nodes",),
                hosts=(node.name, layout.address(node)),
                server=True,
            )
            for node in NODES
        ),
    ]


def ensure(layout: Layout) -> None:
    """Make what is missing or says something else than it should; nothing else changes."""
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    for authority in AUTHORITIES:
        if not (layout.pki / f"{authority}.crt").exists():
            _make_authority(layout.pki, authority)
    for identity in identities(layout):
        _ensure(layout.pki, identity)
    if not (layout.pki / "service-accounts.pub").exists():
        _make_service_account_key(layout.pki)


def _ensure(folder: Path, identity: Identity) -> None:
    mark = folder / f"{identity.file}.is"
    issuer = hashlib.sha256((folder / f"{identity.authority}.crt").read_bytes()).hexdigest()[:16]
    wanted = f"{identity.fingerprint()} {issuer}"
    if mark.exists() and mark.read_text() == wanted:
        return
    key, certificate = issue(folder, identity, _YEARS)
    write(folder / f"{identity.file}.key", key)
    write(folder / f"{identity.file}.crt", certificate)
    write(mark, wanted)  # last: a pair without its mark is made anew


def issue(folder: Path, identity: Identity, valid: datetime.timedelta) -> tuple[bytes, bytes]:
    """A key and a certificate, in PEM; nothing is written."""
    authority = x509.load_pem_x509_certificate((folder / f"{identity.authority}.crt").read_bytes())
    signer = serialization.load_pem_private_key((folder / f"{identity.authority}.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] * identity.server + [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ] * identity.client
    builder = (
        _builder(_subject(identity.name, identity.groups), authority.subject, key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if identity.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(identity.hosts)), critical=False)
    return _pem(key), builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _make_authority(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"seatrial-{name}", ())
    certificate = (
        _builder(subject, subject, key.public_key(), _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write(folder / f"{name}.key", _pem(key))
    write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _make_service_account_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write(folder / "service-accounts.key", _pem(key))
    write(folder / "service-accounts.pub", public)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _MARGIN)
        .not_valid_after(now + valid)
    )


def _subject(name: str, groups: tuple[str, ...]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _key_usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def kubeconfig(layout: Layout, identity: str, server: str) -> str:
    """A kubeconfig that needs no other file; JSON is YAML, and quicker to write."""
    return render_kubeconfig(
        layout,
        server,
        (layout.pki / f"{identity}.crt").read_bytes(),
        (layout.pki / f"{identity}.key").read_bytes(),
    )


def render_kubeconfig(layout: Layout, server: str, certificate: bytes, key: bytes) -> str:
    def b64(data: bytes) -> str:
        return base64.b64encode(data).decode()

    name = f"seatrial-{layout.name}"
    authority = b64((layout.pki / "ca.crt").read_bytes())
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [
            {"name": name, "user": {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=1)
