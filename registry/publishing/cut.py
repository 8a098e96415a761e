"""Some keys left out, with everything that has a row per key."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidEmbedding, InvalidQuery
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
        seen: those of the values that were met so far.
    """

    entity: str
    keys: pa.StringArray
    columns: frozenset[str]
    seen: set[str] = field(default_factory=set)

    def rows(self, entity: str, keys: pa.StringArray | pa.ChunkedArray) -> np.ndarray:
        """(N,) bool, which rows of a table about an `entity` go."""
        if entity != self.entity:
            return np.zeros(len(keys), np.bool_)
        found = pc.call_function("is_in", [keys], pc.SetLookupOptions(self.keys))
        self.seen.update(keys.filter(found).to_pylist())
        return np.asarray(found)

    def without(self, table: pa.Table) -> pa.Table:
        """The same table where it has none of the values in `columns`; else one with null in their place.

        A value counts as its text, so `17` is found in a column of integers, too. It is left out of a
        list, at any depth; in a list of fixed size and in a field of a struct it becomes null.

        Raises:
            InvalidQuery: one stands in a part of a struct, a map or a list of fixed size that may not be null.
        """
        for at, name in enumerate(table.column_names):
            cut = self._column(table.column(at)) if name in self.columns else None
            if cut is not None:
                table = table.set_column(at, name, cut)
        return table

    def _column(self, column: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """The column without the values; None where there are none."""
        values = column.to_pylist()
        found = [self._cut(value, column.type) for value in values]
        return None if found == values else pa.chunked_array([pa.array(found, column.type)])

    def _cut(self, value: Any, kind: pa.DataType) -> Any:
        """One value of an Arrow type, as Python sees it, without what has to go."""
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        if value is None or not pa.types.is_nested(kind):
            return None if value is None or self._has(value) else value
        if pa.types.is_struct(kind):
            return {part.name: self._part(value[part.name], part) for part in kind}
        if pa.types.is_map(kind):
            return [(key, self._part(one, kind.item_field)) for key, one in value if not self._has(key)]
        if pa.types.is_fixed_size_list(kind):
            return [self._part(one, kind.value_field) for one in value]
        cut = [(one, self._cut(one, kind.value_type)) for one in value]
        return [new for old, new in cut if old is None or new is not None]

    def _part(self, value: Any, part: pa.Field) -> Any:
        cut = self._cut(value, part.type)
        if cut is None and value is not None and not part.nullable:
            raise InvalidQuery(
                f"a key stands in a part {part.name!r:.80} of a column that may not be null; retire the versions that"
                " have it, publish with nulls allowed, and erase again"
            )
        return cut

    def _has(self, value: Any) -> bool:
        text = _as_text(value)
        if text not in self._texts:
            return False
        self.seen.add(text)
        return True

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(self.keys.to_pylist())


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float | Decimal) and value % 1 == 0:  # as pandas makes of integers where one is missing
        return str(int(value))
    return str(value)
