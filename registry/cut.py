"""Some keys left out, with everything that has a row per key."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidEmbedding
from registry.records import Draft

_COUNT = "count"


def keep_rows(draft: Draft, kept: np.ndarray) -> Draft:
    """The draft with the rows of its table where `kept`, an (N,) bool, is true.

    An array of `extra` whose first axis is N long has a row per key, and is cut with the keys.
    """
    if kept.all():
        return draft
    mask = pa.array(kept)
    keys: Any = draft.keys.filter(mask)
    return replace(
        draft,
        keys=keys,
        vectors=draft.vectors[kept],
        attributes=None if draft.attributes is None else draft.attributes.filter(mask),
        extra={name: array[kept] if array.shape[:1] == kept.shape else array for name, array in draft.extra.items()},
    )


def frequent_keys(draft: Draft) -> Draft:
    """The draft without the keys whose attribute `count` is under `min_count`, or missing.

    Why: a key that few people used tells of these people; it must not get out at all, rather than be
    published and removed.

    Raises:
        InvalidEmbedding: `min_count` is no count, there is no numeric attribute `count`, or no key is left.
    """
    if draft.min_count is None:
        return draft
    if isinstance(draft.min_count, bool) or not isinstance(draft.min_count, int) or draft.min_count < 1:
        raise InvalidEmbedding(f"min_count is {draft.min_count!r:.80}; it is a whole number, at least 1, or None")
    counts = _counts(draft)
    kept = counts >= draft.min_count  # false where a count is NaN
    if not kept.any():
        raise InvalidEmbedding(
            f"none of the {len(kept)} keys reaches min_count {draft.min_count}; the largest count is {counts.max():g}"
        )
    return keep_rows(draft, kept)


def _counts(draft: Draft) -> np.ndarray:
    """(N,) float64, NaN where there is none."""
    names = draft.attributes.column_names if draft.attributes is not None else []
    if draft.attributes is None or _COUNT not in names:
        raise InvalidEmbedding(f"min_count needs the attribute {_COUNT!r}; the draft has {', '.join(names) or 'none'}")
    column = draft.attributes.column(_COUNT)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InvalidEmbedding(f"min_count needs a numeric attribute {_COUNT!r}; it is {column.type}")
    return np.asarray(column.cast(pa.float64(), safe=False).fill_null(float("nan")))


@dataclass(frozen=True, eq=False)
class Unwanted:
    """Values that have to go.

    Attributes:
        entity: entity type of the keys.
        keys: the values.
        columns: columns, beside keys of that entity, in which such values stand for it.
    """

    entity: str
    keys: pa.StringArray
    columns: frozenset[str]

    def rows(self, entity: str, keys: pa.StringArray | pa.ChunkedArray) -> np.ndarray:
        """(N,) bool, which rows of a table about an `entity` go."""
        if entity != self.entity:
            return np.zeros(len(keys), np.bool_)
        return np.asarray(pc.call_function("is_in", [keys], pc.SetLookupOptions(self.keys)))

    def without(self, table: pa.Table) -> pa.Table:
        """The same table where it has none of the values in `columns`; else one with null in their place."""
        for at, name in enumerate(table.column_names):
            cut = self._column(table.column(at)) if name in self.columns else None
            if cut is not None:
                table = table.set_column(at, name, cut)
        return table

    def _column(self, column: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Null for the values in a column of texts, left out of lists of texts; None where there are none."""
        gone = set(self.keys.to_pylist())
        kind, values = column.type, column.to_pylist()
        if pa.types.is_list(kind) and _is_text(kind.value_type):
            found = [value and [one for one in value if one not in gone] for value in values]
        elif _is_text(kind):
            found = [None if value in gone else value for value in values]
        else:
            return None
        return None if found == values else pa.chunked_array([pa.array(found, kind)])


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
