"""The base of every settings class: an unknown name is refused, with the nearest one that is known."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError


class Settings(BaseModel):
    """Plain values a person chose. Defaults are written here once, stack files hold only what differs."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


class Resources(Settings):
    """What one container asks for and may use at most."""

    cpu: str = "50m"
    """Requested share of a core; there is no CPU limit, so that idle cores are used."""
    memory: str
    """Requested and at the same time the limit, so that a node's memory is never promised twice."""

    def manifest(self) -> dict[str, dict[str, str]]:
        """As a container's `resources`."""
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory},
            "limits": {"memory": self.memory},
        }


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """One line for each thing that is wrong: `trino.workers: Input should be … (got 0)`."""
    for problem in error.errors():
        where = [str(part) for part in problem["loc"]]
        if problem["type"] == "extra_forbidden":
            yield _unknown(where, model)
        else:
            yield f"{'.'.join(where)}: {problem['msg']} (got {problem['input']!r})"


def _unknown(where: list[str], model: type[BaseModel]) -> str:
    known = _fields_at(where[:-1], model)
    near = get_close_matches(where[-1], known, n=1, cutoff=0.5)
    hint = f"did you mean {'.'.join([*where[:-1], near[0]])!r}?" if near else f"known: {', '.join(known)}"
    return f"{'.'.join(where)}: there is no such setting; {hint}"


def _fields_at(path: list[str], model: type[BaseModel]) -> list[str]:
    """The names known at a place in the tree; keys of a mapping or list are passed over."""
    current: Any = model
    for part in path:
        field = current.model_fields.get(part)
        if field is not None:
            current = _model_in(field.annotation) or current
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
