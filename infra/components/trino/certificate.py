"""A certificate of Trino's own, for stacks that have nobody to sign one."""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = datetime.timedelta(days=3650)
"""As long as clusters keep their own authorities; replace the Secret to renew."""


def make(host_names: Sequence[str]) -> dict[str, str]:
    """The entries of a Secret: `ca.crt` for clients, `tls-combined.pem` (key, certificate) for Trino.

    The authority's key is thrown away, so it can sign nothing else.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _builder("seatrial trino CA", authority_key, authority_key, ca=True)
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in host_names]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    server = _builder("trino", key, authority_key, ca=False).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "ca.crt": _signed(authority, authority_key),
        "tls-combined.pem": private + _signed(server, authority_key),
    }


def _builder(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.CertificateBuilder:
    """With the extensions that strict verification (Python 3.13, `openssl verify -x509_strict`) asks for."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("seatrial trino CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
