"""What is kept of a column: enough to compare any later window with it, and no rows.

Of numbers the distribution function, of categories their counts. Missing values are counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

KEPT = 20_000
"""Values of a distribution function, at most: with more, those at evenly spaced ranks are kept, and it is
wrong by no more than 1 / KEPT."""
BINS = 10
"""Of a number, for PSI: between the deciles."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Numbers:
    """The distribution of a number, F(x) = share of rows ≤ x."""

    values: Floats
    """Distinct, ascending."""
    upto: Counts
    """Rows that are at most each of them."""
    nulls: int

    @classmethod
    def of(cls, column: pd.Series) -> "Numbers":
        """What is kept of a column; `inf` counts as missing."""
        return cls.all_of(column).thinned()

    @classmethod
    def all_of(cls, column: pd.Series) -> "Numbers":
        """With each value of the column."""
        ordered = np.sort(finite(column))
        values, first = np.unique(ordered, return_index=True)
        upto = np.append(first[1:], len(ordered)).astype(np.int64)[: len(values)]
        return cls(values, upto, len(column) - len(ordered))

    def thinned(self) -> "Numbers":
        """With KEPT values at most."""
        if len(self.values) <= KEPT:
            return self
        kept = np.unique(np.searchsorted(self.upto, np.linspace(1, self.rows, KEPT)))
        return Numbers(self.values[kept], self.upto[kept], self.nulls)

    def without(self, part: "Numbers") -> "Numbers":
        """Of the other rows; both have each of their values."""
        weights = self.weights
        weights[np.searchsorted(self.values, part.values)] -= part.weights
        left = weights > 0
        return Numbers(self.values[left], np.cumsum(weights[left]), self.nulls - part.nulls)

    @property
    def rows(self) -> int:
        """With a value."""
        return int(self.upto[-1]) if len(self.upto) else 0

    @property
    def weights(self) -> Counts:
        """Rows of each value."""
        return np.diff(self.upto, prepend=0)

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where all rows have one value, so that it can be divided by."""
        mean = np.average(self.values, weights=self.weights)
        return float(np.sqrt(np.average((self.values - mean) ** 2, weights=self.weights))) or 1.0

    @property
    def edges(self) -> Floats:
        """The distinct deciles, between which PSI counts."""
        places = np.searchsorted(self.upto, np.arange(1, BINS) / BINS * self.rows)
        return np.unique(self.values[places])

    def shares(self) -> Floats:
        """Of the rows between the edges; the upper edge of a bin belongs to it."""
        upto = self.upto[np.searchsorted(self.values, self.edges)]
        return np.diff(np.concatenate([[0], upto, [self.rows]])) / self.rows

    def kept(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"numbers": self.values.tolist(), "upto": self.upto.tolist(), "nulls": self.nulls}


@dataclass(frozen=True)
class Categories:
    """How often each category came."""

    counts: Mapping[str, int]
    nulls: int

    @classmethod
    def of(cls, column: pd.Series) -> "Categories":
        found = column.dropna().astype(str).value_counts()
        return cls({str(name): int(count) for name, count in sorted(found.items())}, int(column.isna().sum()))

    def thinned(self) -> "Categories":
        return self

    def without(self, part: "Categories") -> "Categories":
        """Of the other rows."""
        left = {name: count - part.counts.get(name, 0) for name, count in self.counts.items()}
        return Categories({name: count for name, count in left.items() if count}, self.nulls - part.nulls)

    @property
    def rows(self) -> int:
        """With a category."""
        return sum(self.counts.values())

    def kept(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"categories": dict(self.counts), "nulls": self.nulls}


Column = Numbers | Categories


def is_number(column: pd.Series) -> bool:
    """Whether it is judged as a number; a truth value is a category."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def finite(column: pd.Series) -> Floats:
    """The values that are there."""
    values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values[np.isfinite(values)]


def column_of(values: pd.Series) -> Column:
    """Of all its values."""
    return Numbers.all_of(values) if is_number(values) else Categories.of(values)


def rest_of(whole: Column, part: Column) -> Column:
    """What is kept of the rows of a column that are not in the part."""
    if isinstance(whole, Numbers) and isinstance(part, Numbers):
        return whole.without(part).thinned()
    assert isinstance(whole, Categories)
    assert isinstance(part, Categories)
    return whole.without(part)


def from_kept(kept: Mapping[str, Any]) -> Column:
    """What `kept` gave."""
    if "numbers" in kept:
        values = np.array(kept["numbers"], dtype=np.float64)
        return Numbers(values, np.array(kept["upto"], dtype=np.int64), kept["nulls"])
    return Categories(dict(kept["categories"]), kept["nulls"])
