"""Weighted bags of keys in the forms that people have them, as three flat arrays.

Dicts, lists of tokens and Arrow list columns all become M entries: keys, weights, and where each of
the Q bags begins.
"""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidQuery
from registry.tables.keys import as_keys

#: What `compose` takes: one bag, or many; `dict` bags carry their weights.
BagsLike = Mapping[str, float] | Iterable[Mapping[str, float]] | Iterable[Sequence[str]] | pa.Array | pa.ChunkedArray

_LISTS = (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)


@dataclass(frozen=True, eq=False)
class Bags:
    """Q checked bags with M entries in all.

    Attributes:
        keys: (M,) string.
        starts: (Q + 1,) int64; bag q has the entries `starts[q]` up to `starts[q + 1]`.
        weights: (M,) float64, finite and at least 0.
    """

    keys: pa.StringArray
    starts: np.ndarray
    weights: np.ndarray

    @classmethod
    def read(cls, bags: BagsLike, weights: object = None) -> "Bags":
        """Check bags and lay them flat.

        Args:
            bags: dicts of key to weight, lists of keys, or an Arrow list column of keys; one dict
                counts as one bag.
            weights: for lists of keys, as many weights in the same shape; None weighs every key 1.

        Raises:
            InvalidQuery: a bag has another form, or a weight is negative, NaN or infinite; the
                message names the bag and the key.
        """
        if isinstance(bags, pa.Array | pa.ChunkedArray):
            return _checked(*_from_arrow(bags), weights)
        listed = [bags] if isinstance(bags, Mapping) else _as_list(bags)
        if listed and isinstance(listed[0], Mapping):
            if weights is not None:
                raise InvalidQuery("weights stand in the dicts already; pass weights= with lists of keys only")
            return _from_dicts(listed)
        keys, lengths = _from_lists(listed)
        return _checked(keys, lengths, weights)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def bag_of(self) -> np.ndarray:
        """(M,) int64, the bag of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(Q,) float64, the (M,) values of each bag added up."""
        return np.bincount(self.bag_of, values, len(self)).astype(np.float64)  # of nothing it counts integers

    def check(self) -> "Bags":
        """Refuse weights that mean nothing; raises InvalidQuery with bag and key."""
        good = np.isfinite(self.weights) & (self.weights >= 0)
        if not good.all():
            at = int(np.argmin(good))
            raise InvalidQuery(
                f"bag {self.bag_of[at]}: the weight of key {self.keys[at].as_py()!r:.80} is {self.weights[at]};"
                " weights are finite and at least 0"
            )
        with np.errstate(over="ignore"):
            totals = self.sums(self.weights)
        if not np.isfinite(totals).all():
            raise InvalidQuery(f"bag {np.argmin(np.isfinite(totals))}: the sum of its weights is infinite")
        return self


def _as_list(bags: object) -> list[Any]:
    if isinstance(bags, str | bytes) or not isinstance(bags, Iterable):
        raise InvalidQuery(
            f"bags are {type(bags).__name__} {bags!r:.80}; give a list of dicts {{key: weight}} or of lists of keys"
        )
    return list(bags)


def _from_dicts(bags: list[Any]) -> Bags:
    strange = _first_of(bags, lambda kind: not issubclass(kind, Mapping))
    if strange is not None:
        raise InvalidQuery(
            f"bag {strange} is {type(bags[strange]).__name__} {bags[strange]!r:.80}; bag 0 is a dict, so all must be"
        )
    keys = _flat_keys(bags)
    try:
        weights = pa.array(list(chain.from_iterable(bag.values() for bag in bags)), pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidQuery(_strange_weight(bags)) from error
    if weights.null_count:
        raise InvalidQuery(_strange_weight(bags))
    return Bags(keys, _starts([len(bag) for bag in bags]), np.asarray(weights)).check()


def _strange_weight(bags: list[Mapping[Any, Any]]) -> str:
    for number, bag in enumerate(bags):
        for key, weight in bag.items():
            if not isinstance(weight, numbers.Real) or not math.isfinite(weight):
                return f"bag {number}: the weight of key {key!r:.80} is {weight!r:.80}; weights are numbers"
    return "a weight is no float64; weights are numbers"


def _from_lists(bags: list[Any]) -> tuple[pa.StringArray, list[int]]:
    strange = _first_of(bags, lambda kind: issubclass(kind, str | bytes) or not issubclass(kind, Sequence | np.ndarray))
    if strange is not None:
        raise InvalidQuery(
            f"bag {strange} is {type(bags[strange]).__name__} {bags[strange]!r:.80}; a bag is a dict {{key: weight}} or"
            " a list of keys, and all bags of one call are of one form"
        )
    return _flat_keys(bags), [len(bag) for bag in bags]


def _first_of(bags: list[Any], is_strange: Callable[[type], bool]) -> int | None:
    """The first bag of a strange type; asks once per type, as there may be millions of bags."""
    kinds = [type(bag) for bag in bags]
    strange = {kind for kind in set(kinds) if is_strange(kind)}
    return next((number for number, kind in enumerate(kinds) if kind in strange), None) if strange else None


def _flat_keys(bags: list[Any]) -> pa.StringArray:
    try:
        return as_keys(list(chain.from_iterable(bags)))
    except InvalidQuery as error:
        for number, bag in enumerate(bags):
            for key in bag:
                if not isinstance(key, str):
                    raise InvalidQuery(f"bag {number}: key {key!r:.80} is {type(key).__name__}, not text") from error
        raise


def _from_arrow(bags: Any) -> tuple[pa.StringArray, np.ndarray]:
    if isinstance(bags, pa.ChunkedArray):
        bags = bags.combine_chunks()
    if not isinstance(bags, _LISTS):
        raise InvalidQuery(f"bags are an Arrow array of {bags.type}; give a list column of keys")
    return as_keys(bags.flatten()), _lengths(bags)


def _lengths(lists: pa.Array) -> np.ndarray:
    """(Q,) int64; a null list counts as an empty one."""
    return np.asarray(pc.call_function("list_value_length", [lists]).fill_null(0)).astype(np.int64)


def _checked(keys: pa.StringArray, lengths: Sequence[int] | np.ndarray, weights: Any) -> Bags:
    starts = _starts(lengths)
    if weights is None:
        return Bags(keys, starts, np.ones(len(keys)))
    column = _as_column(weights)
    given = _lengths(column)
    expected = np.diff(starts)
    if len(given) != len(expected):
        raise InvalidQuery(f"there are {len(expected)} bags but weights for {len(given)}")
    if (given != expected).any():
        bag = int(np.argmax(given != expected))
        raise InvalidQuery(f"bag {bag} has {expected[bag]} keys but {given[bag]} weights")
    flat = column.flatten()
    if flat.null_count:
        at = int(np.argmax(np.asarray(flat.is_null())))
        bag = int(np.searchsorted(starts, at, side="right")) - 1
        raise InvalidQuery(f"bag {bag}: the weight of key {keys[at].as_py()!r:.80} is null; weights are numbers")
    return Bags(keys, starts, np.asarray(flat)).check()


def _as_column(weights: Any) -> pa.Array:
    try:
        column = weights.combine_chunks() if isinstance(weights, pa.ChunkedArray) else weights
        if isinstance(column, pa.Array):
            return column.cast(pa.list_(pa.float64()))
        return pa.array([list(one) for one in column], pa.list_(pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        raise InvalidQuery(f"weights are {weights!r:.80}; give one list of numbers per bag: {error}") from error


def _starts(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
