"""Asks upstream registries for the digests of images, for stacks that run only what was pinned."""

import re
from collections.abc import Sequence
from pathlib import Path

import httpx

from local.errors import LocalError
from local.images.names import Image

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def pin(images: Sequence[Image], transport: httpx.BaseTransport | None = None) -> dict[str, str]:
    """Full image name → digest, for the images that have an upstream; ours have none.

    Raises:
        LocalError: a registry cannot be reached or does not know the image; nothing is half done then.
    """
    with httpx.Client(timeout=20, follow_redirects=True, transport=transport) as client:
        return {
            image.name: _digest(client, _host(image.name), image.repository, image.tag)
            for image in images
            if _host(image.name)
        }


def write_digests(file: Path, digests: dict[str, str]) -> list[str]:
    """Write digests into a releases.toml, below the releases that name the images; the changed names.

    Lines that say the same stay as they are, so that a second run changes nothing.
    """
    text = file.read_text()
    changed = []
    for name, digest in digests.items():
        found = re.search(rf'^"{re.escape(name)}" = "(sha256:[0-9a-f]+)"$', text, re.MULTILINE)
        if found and found[1] == digest:
            continue
        changed.append(name)
        line = f'"{name}" = "{digest}"'
        text = text.replace(found[0], line) if found else _insert(text, _release(file, name), line)
    part = file.with_suffix(".part")
    part.write_text(text)
    part.replace(file)
    return changed


def _release(file: Path, name: str) -> str:
    """The release that names an image."""
    import tomllib

    for release, fields in tomllib.loads(file.read_text()).items():
        patterns = fields.get("images", {})
        if name in {pattern.format(version=fields["version"]) for pattern in patterns}:
            return release
    raise LocalError(f"{file} names no image {name}", "pin only what a release there names")


def _insert(text: str, release: str, line: str) -> str:
    header = f"[{release}.digests]\n"
    if header in text:
        return text.replace(header, f"{header}{line}\n")
    return f"{text.rstrip()}\n\n{header}{line}\n"


def _host(name: str) -> str:
    """The registry that an image comes from; none for our own."""
    first, _, rest = name.partition("/")
    if not rest or not ("." in first or ":" in first):
        return ""
    return first


def _digest(client: httpx.Client, host: str, repository: str, tag: str) -> str:
    api = "registry-1.docker.io" if host == "docker.io" else host
    url = f"https://{api}/v2/{repository}/manifests/{tag}"
    try:
        answer = client.head(url, headers={"Accept": _ACCEPT})
        if answer.status_code == 401:
            token = _token(client, answer.headers.get("www-authenticate", ""))
            answer = client.head(url, headers={"Accept": _ACCEPT, "Authorization": f"Bearer {token}"})
    except httpx.HTTPError as error:
        raise LocalError(
            f"the registry {host} cannot be reached to resolve {repository}:{tag}: {error}",
            "run `seatrial images pin` on a machine with a route to it and commit infra/releases.toml; "
            "nothing was changed here",
        ) from error
    digest = str(answer.headers.get("docker-content-digest", ""))
    if answer.status_code != 200 or not digest:
        raise LocalError(
            f"the registry {host} answered {answer.status_code} when asked for {repository}:{tag}",
            "compare name and version in infra/releases.toml with what the upstream publishes; "
            "nothing was changed",
        )
    return digest


def _token(client: httpx.Client, challenge: str) -> str:
    """An anonymous token, as the registry's answer says where to get one."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", "")
    if not realm:
        return ""
    answer = client.get(realm, params=fields)
    answer.raise_for_status()
    said = answer.json()
    return str(said.get("token") or said.get("access_token") or "")
