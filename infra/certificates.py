"""Certificates made by the program, for stacks that have nobody to sign them."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_VALID = datetime.timedelta(days=3650)
"""As long as clusters keep their own authorities; replace the Secret to renew."""


@dataclass(frozen=True)
class Authority:
    """Signs the certificates of one server."""

    key: Key
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str, key: Key | None = None, alias: str | None = None) -> "Authority":
        """Signed by itself; `alias` is a DNS name that it answers to as well."""
        key = key or new_key()
        builder = _builder(name, name, key, key, ca=True)
        if alias:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(alias)]), critical=False
            )
        return cls(key, builder.sign(key, hashes.SHA256()))

    def sign(self, subject: str, key: Key, names: Sequence[x509.GeneralName]) -> x509.Certificate:
        """A server's certificate for all of its names."""
        issuer = str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        builder = _builder(subject, issuer, key, self.key, ca=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key: Key, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _builder(subject: str, issuer: str, key: Key, issuer_key: Key, *, ca: bool) -> x509.CertificateBuilder:
    """With the extensions that strict verification (Python 3.13, `openssl verify -x509_strict`) asks for."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
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
