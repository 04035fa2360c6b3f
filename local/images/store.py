"""Which images the registry holds and what they were built from."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from local.images import places, recipe, registry
from local.images.names import Image


@dataclass(frozen=True)
class Record:
    """Written when an image was pushed."""

    name: str
    recipe: str
    key: str
    digest: str


def wanted_key(image: Image) -> str:
    """What the image would be built from now."""
    return recipe.key(image.recipe, image.version, image.context)


def pushed(image: Image) -> bool:
    """Whether the registry has the image as its recipe now makes it."""
    record = _read(_file(image.name))
    return (
        record is not None
        and record.key == wanted_key(image)
        and record.digest == registry.digest(image.repository, image.tag)
    )


def write(image: Image, key: str) -> None:
    """Remember what was pushed under the image's name."""
    digest = registry.digest(image.repository, image.tag)
    assert digest, f"{image.name} was pushed and is not in the registry"
    file = _file(image.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(Record(image.name, image.recipe, key, digest))))
    part.replace(file)


def records() -> list[Record]:
    """All that was pushed."""
    found = (_read(file) for file in sorted(places.records().glob("*.json")))
    return [record for record in found if record]


def forget(name: str) -> None:
    _file(name).unlink(missing_ok=True)


def _file(name: str) -> Path:
    return places.records() / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def _read(file: Path) -> Record | None:
    try:
        return Record(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
