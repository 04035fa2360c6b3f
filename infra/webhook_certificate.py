"""The first certificate of an admission webhook, in the form in which its controller would make it itself.

JobSet, Trainer and Kueue look after their certificates with the same library (cert-controller): it keeps
what it finds valid, renews it 90 days before its end, and writes the authority into the webhook
configurations.
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from infra.certificates import Authority, new_key, pem, private_pem


def make(authority_name: str, service: str, namespace: str) -> dict[str, str]:
    """The entries of the Secret that the controller mounts and watches.

    It takes an authority for its own only where that has its name, as a DNS name too, and an RSA key in
    PKCS #1. The authority's key stays there, because the controller renews with it.
    """
    authority_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    authority = Authority.make(authority_name, authority_key, alias=authority_name)
    name, key = f"{service}.{namespace}.svc", new_key()
    server = authority.sign(name, key, [x509.DNSName(name)])
    return {
        "ca.crt": pem(authority.certificate),
        "ca.key": private_pem(authority_key, PrivateFormat.TraditionalOpenSSL),
        "tls.crt": pem(server),
        "tls.key": private_pem(key),
    }
