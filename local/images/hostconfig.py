"""The host's package sources, written for use inside a build.

Which mirror, index or certificate authority is used is the host's business: it is mounted at /run/host while
an image is built and is not part of any image.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import certifi
import uv

from local.errors import LocalError

MOUNT = "/run/host"

_SUITE = "trixie"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR = "SEATRIAL_DEBIAN_MIRROR"

_APT_CONF = """\
Dir::Etc::SourceList "{mount}/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "{mount}/lists";
Dir::Cache::Archives "{mount}/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
DPkg::Use-Pty "0";
"""


def write(folder: Path) -> None:
    """Fill `folder`, which is then mounted at /run/host."""
    for inner in ("lists/partial", "archives/partial"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("".join(f"{line}\n" for line in sources()))
    (folder / "apt.conf").write_text(_APT_CONF.format(mount=MOUNT) + "".join(_acquire()))
    (folder / "ca.crt").write_bytes(certificates().read_bytes())
    (folder / "uv.toml").write_text("".join(_uv()))
    # Ours is whole at any moment: a build that another process has under way may be reading it.
    part = folder / "uv.part"
    shutil.copy2(uv.find_uv_bin(), part)
    part.replace(folder / "uv")


def sources(apt: Path = Path("/etc/apt")) -> list[str]:
    """Lines of a sources.list for the Debian release that images are made of."""
    addresses = list(_addresses(apt))
    archive = os.environ.get(_MIRROR) or _first(addresses, r"/debian/?$")
    security = _first(addresses, r"/debian-security/?$")
    if archive is None:
        raise LocalError(
            "images are made from Debian packages, and apt's configuration here names no Debian archive",
            f"set {_MIRROR} to the address of one (it ends in /debian)",
        )
    signed = f"deb [signed-by={_KEYRING}]"
    lines = [f"{signed} {archive} {_SUITE} main", f"{signed} {archive} {_SUITE}-updates main"]
    return lines + ([f"{signed} {security} {_SUITE}-security main"] if security else [])


def certificates() -> Path:
    """The host's certificate authorities in one file; Mozilla's where the host has none."""
    named = [os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
    usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]
    there = (Path(name) for name in [*named, *usual] if name and Path(name).is_file())
    return next(there, Path(certifi.where()))


def _addresses(apt: Path) -> Iterator[str]:
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        for line in file.read_text().splitlines():
            if re.match(r"\s*(deb|URIs:)\s", line):
                yield from re.findall(r"\bhttps?://[^\s\]]+", line)


def _first(addresses: list[str], pattern: str) -> str | None:
    return next((address.rstrip("/") for address in addresses if re.search(pattern, address)), None)


def _acquire() -> Iterator[str]:
    """How the host's apt fetches (proxy, checks), without paths of the host."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    wanted = re.compile(r"Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b")
    for line in dump.stdout.splitlines():
        if wanted.match(line) and not re.search(r'"/|""', line):
            yield f"{line}\n"
    yield f'Acquire::https::CAInfo "{MOUNT}/ca.crt";\n'


def _uv() -> Iterator[str]:
    """The host's pip configuration, files and environment, in uv's words."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    settings = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        # Later lines of the list win; the environment is the last.
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value)).split()
    yield "no-cache = true\n"
    if hosts := settings.get("trusted-host"):
        yield f"allow-insecure-host = {json.dumps(hosts)}\n"
    if more := settings.get("extra-index-url"):
        yield f"extra-index-url = {json.dumps(more)}\n"
    if index := settings.get("index-url"):
        yield f"index-url = {json.dumps(index[0])}\n"
