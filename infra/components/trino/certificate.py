"""A certificate of Trino's own, for stacks that have nobody to sign one."""

import ipaddress
from collections.abc import Sequence

from cryptography import x509

from infra.certificates import Authority, new_key, pem, private_pem


def make(host_names: Sequence[str]) -> dict[str, str]:
    """The entries of a Secret: `ca.crt` for clients, `tls-combined.pem` (key, certificate) for Trino.

    The authority's key is thrown away, so it can sign nothing else.
    """
    authority, key = Authority.make("seatrial trino CA"), new_key()
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in host_names]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    server = authority.sign("trino", key, names)
    return {"ca.crt": pem(authority.certificate), "tls-combined.pem": private_pem(key) + pem(server)}
