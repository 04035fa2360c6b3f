"""Our own custom objects are as the definitions of their kinds, in the same stack, want them."""

from typing import Any

import jsonschema
import pytest

from tests.unit.infra_stacks import STACKS, Registered, built

Schema = dict[str, Any]


@pytest.mark.parametrize("stack", STACKS)
def test_every_custom_object_fits_its_definition(stack: str) -> None:
    """The API server drops a field that it does not know, and says nothing where nobody asked it to."""
    known = definitions(stack)
    found = [each for each in built(stack).objects if kind_of(each) in known]
    assert len({kind_of(each) for each in found}) >= 15
    wrong = [
        f"{each.name}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        for each in found
        for error in jsonschema.Draft7Validator(known[kind_of(each)]).iter_errors(each.inputs)
    ]
    assert wrong == []


def kind_of(each: Registered) -> tuple[str, str]:
    return each.inputs["apiVersion"], each.inputs["kind"]


def definitions(stack: str) -> dict[tuple[str, str], Schema]:
    """API version and kind → the schema, which refuses unknown fields."""
    return {
        (f"{spec['group']}/{version['name']}", spec["names"]["kind"]): whole(
            version["schema"]["openAPIV3Schema"]
        )
        for each in built(stack).of_kind("CustomResourceDefinition")
        for spec in [each.inputs["spec"]]
        for version in spec["versions"]
    }


def whole(schema: Schema) -> Schema:
    """The definition of a kind, with what the API server knows of every object."""
    fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return strict({**schema, "properties": {**schema.get("properties", {}), **fields}})


def strict(node: Any) -> Any:
    """A structural schema as JSON Schema has it: nothing but what is named, and numbers with units."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: strict(value) for key, value in node.items() if key not in ("properties", "pattern")}
    if "properties" in node:
        made["properties"] = {key: strict(value) for key, value in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in node:
            made["additionalProperties"] = False
    if node.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made
