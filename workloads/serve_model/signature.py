"""What a model's signature lets through: requests become the model's input, or are refused with the column,
type or shape that was wrong.

A request that is refused never reaches the model. Of the two kinds of signature that MLflow knows, columns
become a data frame, tensors become arrays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MOST_ROWS = 10_000
"""Of one request: a row costs the server some kilobytes."""


class Unfit(ValueError):
    """The request does not fit the signature; `reason` is one of a few words that are counted by."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unservable(ValueError):
    """The model cannot be served as it is: its signature is missing or has what no protocol can carry."""


@dataclass(frozen=True)
class Tensor:
    """One input of a request in the protocol V2."""

    name: str
    datatype: str
    """As the protocol calls it: FP64, INT64, BYTES, …"""
    shape: tuple[int, ...]
    values: Any
    """A flat or nested list, or an array that has the shape already."""


@dataclass(frozen=True)
class Kind:
    """What a column of one type takes."""

    dtype: str
    """The type that the model gets it in."""
    datatype: str
    """What the protocol V2 calls it."""
    also: tuple[str, ...]
    """Other datatypes that are taken without loss."""
    says: str
    """For a person."""
    fits: Callable[[Any], bool]
    missing: Any = None
    """What stands for a missing value; None where the type has none. Optional text is None then."""


_SMALL = ("INT8", "INT16", "INT32", "UINT8", "UINT16")


def _whole(bits: int) -> Callable[[Any], bool]:
    limit = 1 << (bits - 1)
    return lambda value: (
        isinstance(value, int | np.integer) and not isinstance(value, bool) and -limit <= value < limit
    )


def _number(value: Any) -> bool:
    numbers = int | float | np.integer | np.floating
    return isinstance(value, numbers) and not isinstance(value, bool)


KINDS = {
    "double": Kind("float64", "FP64", ("FP32", "INT64", "UINT32", *_SMALL), "a number", _number, np.nan),
    "float": Kind("float32", "FP32", ("FP64", "INT64", "UINT32", *_SMALL), "a number", _number, np.nan),
    "long": Kind("int64", "INT64", ("UINT32", *_SMALL), "a whole number", _whole(64)),
    "integer": Kind(
        "int32", "INT32", ("INT64", "UINT32", *_SMALL), "a whole number of 32 bits", _whole(32)
    ),
    "string": Kind("object", "BYTES", (), "a text", lambda value: isinstance(value, str)),
    "boolean": Kind(
        "bool", "BOOL", (), "true or false", lambda value: isinstance(value, bool | np.bool_)
    ),
}  # fmt: skip
"""By MLflow's names of types."""

DATATYPES = {
    "float64": "FP64", "float32": "FP32", "float16": "FP16", "int64": "INT64", "int32": "INT32",
    "int16": "INT16", "int8": "INT8", "uint64": "UINT64", "uint32": "UINT32", "uint16": "UINT16",
    "uint8": "UINT8", "bool": "BOOL", "object": "BYTES", "str": "BYTES",
}  # fmt: skip
"""What the protocol V2 calls NumPy's types."""


def of_schema(schema: Any) -> "Columns | Tensors":
    """The checker of an MLflow input schema.

    Raises:
        Unservable: there is none, or it has a type that cannot be sent.
    """
    if schema is None or not schema.inputs:
        raise Unservable(
            "the model has no signature: log it with `signature=` or `input_example=`, so that requests can "
            "be told from nonsense"
        )
    return Tensors(schema) if schema.is_tensor_spec() else Columns(schema)


class Columns:
    """A signature of named columns."""

    def __init__(self, schema: Any) -> None:
        self.kinds: dict[str, Kind] = {}
        self.required: set[str] = set()
        for place, column in enumerate(schema.inputs):
            name = column.name or str(place)
            type_name = getattr(column.type, "name", str(column.type))
            if type_name not in KINDS:
                raise Unservable(
                    f"column '{name}' of the signature is of type {type_name}; served are: {', '.join(KINDS)}"
                )
            self.kinds[name] = KINDS[type_name]
            if column.required:
                self.required.add(name)

    def metadata(self) -> list[dict[str, Any]]:
        """The inputs, as the protocol V2 describes them."""
        return [{"name": name, "datatype": kind.datatype, "shape": [-1]} for name, kind in self.kinds.items()]

    def rows(self, instances: Any) -> pd.DataFrame:
        """The input of a V1 request: `instances` is a list of objects, column → value."""
        _require_rows(instances)
        for place, instance in enumerate(instances):
            if not isinstance(instance, dict):
                raise Unfit(
                    "type",
                    f"instances[{place}] must be an object of columns, it is {_called(instance)}; "
                    f"the columns are: {', '.join(self.kinds)}",
                )
            self._require_names(instance, f"instances[{place}]")
        return pd.DataFrame(
            {
                name: self._column(name, [instance.get(name) for instance in instances])
                for name in self.kinds
                if name in self.required or any(name in instance for instance in instances)
            }
        )

    def tensors(self, given: Sequence[Tensor]) -> pd.DataFrame:
        """The input of a V2 request: one tensor a column, all of one length."""
        named = _by_name(given)
        self._require_names(named, "the request")
        lengths = {tensor.name: _length(tensor) for tensor in given}
        if len(set(lengths.values())) > 1:
            shapes = ", ".join(f"{name} has {rows}" for name, rows in lengths.items())
            raise Unfit("shape", f"all columns must have one number of rows: {shapes}")
        for tensor in given:
            kind = self.kinds[tensor.name]
            if tensor.datatype not in (kind.datatype, *kind.also):
                raise Unfit(
                    "type",
                    f"column '{tensor.name}' must have datatype {kind.datatype}, it has {tensor.datatype}",
                )
        return pd.DataFrame(
            {name: self._column(name, _flat(named[name])) for name in self.kinds if name in named}
        )

    def _require_names(self, given: Mapping[str, Any], where: str) -> None:
        if unknown := [name for name in given if name not in self.kinds]:
            raise Unfit(
                "unknown-column",
                f"{where} has {_columns(unknown)}, which the model does not know; "
                f"its columns are: {', '.join(self.kinds)}",
            )
        if lacking := [name for name in self.kinds if name in self.required and name not in given]:
            raise Unfit("missing-column", f"{where} lacks {_columns(lacking)}")

    def _column(self, name: str, values: Any) -> np.ndarray:
        kind = self.kinds[name]
        made = np.empty(len(values), dtype=kind.dtype)
        for row, value in enumerate(values):
            made[row] = self._value(name, kind, value, row)
        return made

    def _value(self, name: str, kind: Kind, value: Any, row: int) -> Any:
        if kind.dtype == "object":
            value = _text(name, value)
        if kind.fits(value):
            return value
        if value is None and (
            kind.missing is not None or (kind.dtype == "object" and name not in self.required)
        ):
            return kind.missing
        raise Unfit("type", f"column '{name}' must be {kind.says}, row {row} has {_called(value)}")


class Tensors:
    """A signature of one tensor without a name, or of several with names."""

    def __init__(self, schema: Any) -> None:
        self.specs = {
            spec.name or "input": (np.dtype(spec.type), tuple(spec.shape)) for spec in schema.inputs
        }
        self.named = schema.inputs[0].name is not None
        for name, (dtype, _) in self.specs.items():
            if dtype.kind not in "biuf":
                raise Unservable(f"tensor '{name}' of the signature is of type {dtype}, which is not served")

    def metadata(self) -> list[dict[str, Any]]:
        """The inputs, as the protocol V2 describes them."""
        return [
            {"name": name, "datatype": DATATYPES[str(dtype)], "shape": list(shape)}
            for name, (dtype, shape) in self.specs.items()
        ]

    def rows(self, instances: Any) -> Any:
        """The input of a V1 request: `instances` is the batch, or a list of objects, tensor → values."""
        _require_rows(instances)
        if not self.named:
            return self._array(next(iter(self.specs)), instances)
        for place, instance in enumerate(instances):
            if not isinstance(instance, dict) or set(instance) != set(self.specs):
                raise Unfit(
                    "missing-column",
                    f"instances[{place}] must be an object of the tensors {', '.join(self.specs)}",
                )
        return {name: self._array(name, [each[name] for each in instances]) for name in self.specs}

    def tensors(self, given: Sequence[Tensor]) -> Any:
        """The input of a V2 request. A signature without names takes its one tensor under any name."""
        if not self.named:
            if len(given) != 1:
                raise Unfit("shape", f"the model takes one tensor, the request has {len(given)}")
            return self._tensor(next(iter(self.specs)), given[0])
        named = _by_name(given)
        if set(named) != set(self.specs):
            raise Unfit(
                "missing-column",
                f"the model takes the tensors {', '.join(self.specs)}, the request has {', '.join(named)}",
            )
        return {name: self._tensor(name, named[name]) for name in self.specs}

    def _tensor(self, name: str, tensor: Tensor) -> np.ndarray:
        expected = DATATYPES[str(self.specs[name][0])]
        if tensor.datatype != expected:
            raise Unfit("type", f"tensor '{name}' must have datatype {expected}, it has {tensor.datatype}")
        values = _flat(tensor)
        return self._array(name, np.reshape(_plain(name, values), tensor.shape))

    def _array(self, name: str, values: Any) -> np.ndarray:
        dtype, shape = self.specs[name]
        made = _plain(name, values)
        if made.dtype.kind not in ("b" if dtype.kind == "b" else "iuf"):
            raise Unfit("type", f"tensor '{name}' must hold {dtype}, it holds {_called(made.ravel()[0])}")
        if dtype.kind in "iu" and made.dtype.kind == "f":
            raise Unfit("type", f"tensor '{name}' must hold {dtype}, it holds fractions")
        if dtype.kind in "iu" and not _within(made, dtype):
            raise Unfit("type", f"tensor '{name}' must hold {dtype}, it holds numbers beyond that")
        if len(made.shape) != len(shape) or any(
            expected not in (-1, found) for expected, found in zip(shape, made.shape, strict=True)
        ):
            raise Unfit(
                "shape", f"tensor '{name}' must have the shape {list(shape)}, it has {list(made.shape)}"
            )
        return made.astype(dtype, copy=False)


def _plain(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise Unfit("shape", f"tensor '{name}' is ragged: its lists are not of one length") from None


def _within(values: np.ndarray, dtype: np.dtype) -> bool:
    limits = np.iinfo(dtype)
    return bool(values.size == 0 or (limits.min <= values.min() and values.max() <= limits.max))


def _require_rows(instances: Any) -> None:
    if not isinstance(instances, list) or not instances:
        raise Unfit("shape", "the request must be an object with `instances`, a list of one row or more")
    if len(instances) > MOST_ROWS:
        raise Unfit("shape", f"a request takes at most {MOST_ROWS} rows, it has {len(instances)}")


def _by_name(given: Sequence[Tensor]) -> dict[str, Tensor]:
    named = {tensor.name: tensor for tensor in given}
    if len(named) < len(given):
        raise Unfit("shape", "an input is there twice")
    return named


def _length(tensor: Tensor) -> int:
    """Rows of a column: its shape is [rows] or [rows, 1]."""
    rows, *more = tensor.shape or (0,)
    if rows < 1 or more not in ([], [1]):
        raise Unfit(
            "shape", f"column '{tensor.name}' must have the shape [rows], it has {list(tensor.shape)}"
        )
    if rows > MOST_ROWS:
        raise Unfit("shape", f"a request takes at most {MOST_ROWS} rows, it has {rows}")
    return rows


def _flat(tensor: Tensor) -> Any:
    """The values in row-major order, as many as the shape says."""
    if any(length < 0 for length in tensor.shape):
        raise Unfit("shape", f"'{tensor.name}' has the shape {list(tensor.shape)}: no length is below 0")
    values = [] if tensor.values is None else tensor.values
    if isinstance(values, np.ndarray):
        values = values.ravel()
    else:
        while values and isinstance(values[0], list):
            if not all(isinstance(each, list) for each in values):
                raise Unfit("shape", f"'{tensor.name}' is ragged: its lists are not of one depth")
            values = [value for each in values for value in each]
    # By Python's own numbers: NumPy's begin anew beyond 64 bits.
    expected = math.prod(tensor.shape)
    if len(values) != expected:
        raise Unfit(
            "shape",
            f"'{tensor.name}' has the shape {list(tensor.shape)}, which is {expected} values, and brings "
            f"{len(values)}",
        )
    return values


def _text(name: str, value: Any) -> Any:
    """What a BYTES tensor holds, as text."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unfit("type", f"column '{name}' must be text in UTF-8") from None


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _called(value: Any) -> str:
    """A value that a person sees in an error."""
    return "null" if value is None else f"{str(value)[:40]!r} ({type(value).__name__})"
