"""What cells are: values of any format in, plain text and the faults of their types out.

Text formats hand over Python values (`str`, `bool`, None, lists, or the literals below), Parquet
hands over Arrow arrays. Both meet in `REFUSED`, so that one table says which kind of value a column
takes, and after it every rule is the same code. N is the number of rows.
"""

# pyarrow.compute makes its functions when it is imported, so pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedding_assets.sources.quarantine import Faults, Reason

Kind = Literal["id", "label", "text", "value", "time", "weight"]

#: Which groups of values a kind of column refuses. A time as an integer could be of any unit:
#: refused.
REFUSED: dict[Kind, dict[str, Reason]] = {
    "id": {"fraction": Reason.FRACTION, "boolean": Reason.BOOLEAN, "moment": Reason.NOT_TEXT},
    "label": {},
    "value": {},
    "text": dict.fromkeys(["integer", "fraction", "boolean", "moment"], Reason.NOT_TEXT),
    "time": dict.fromkeys(["integer", "fraction", "boolean"], Reason.NOT_TIME),
    "weight": dict.fromkeys(["boolean", "moment"], Reason.NOT_NUMBER),
}


class IntLiteral(str):
    """An integer as a JSON document writes it, so that no digit is lost."""

    __slots__ = ()


class FloatLiteral(str):
    """A number with a fraction or an exponent, as a JSON document writes it."""

    __slots__ = ()


_GROUPS: dict[type, str] = {
    str: "string",
    IntLiteral: "integer",
    FloatLiteral: "fraction",
    bool: "boolean",
    type(None): "null",
}

# How Arrow writes a date, a time or both; one out of range it writes in words.
_DAY, _CLOCK = r"-?\d{4,}-\d\d-\d\d", r"\d\d:\d\d:\d\d(?:\.\d+)?"
_MOMENT = rf"^(?:{_DAY}|{_CLOCK}|{_DAY} {_CLOCK}(?:Z|[+-]\d{{4}})?)$"

#: A column as a format reads it: Arrow from Parquet, Python values from text formats.
Cells = pa.Array | Sequence[object]


@dataclass(frozen=True)
class Column:
    """Where cells belong: the column `name` of kind `kind`, and where its faults go."""

    name: str
    kind: Kind
    faults: Faults

    def reject(self, where: np.ndarray | pa.Array, reason: Reason) -> None:
        """Refuse the rows `where`: (N,) bool, null counts as False."""
        if isinstance(where, pa.Array):
            where = as_mask(where)
        self.faults.reject(where, self.name, reason)


def as_mask(array: pa.Array) -> np.ndarray:
    """(N,) bool of an Arrow boolean array, null as False."""
    return pc.fill_null(array, fill_value=False).to_numpy(zero_copy_only=False)


def plain_text(cells: Cells, column: Column) -> pa.Array:
    """Cells as (N,) string: as they are written; null where null or refused.

    Integers become their decimal digits and booleans `true` or `false`. Refused are the groups of
    `REFUSED`, lists, objects, and bytes that are not UTF-8.
    """
    if isinstance(cells, pa.Array):
        return _arrow_text(cells, column)
    groups = {kind: _GROUPS.get(kind, "nested") for kind in set(map(type, cells))}
    refused = {kind: _refusal(group, column.kind) for kind, group in groups.items()}
    for kind in [kind for kind, reason in refused.items() if reason is not None]:
        column.reject(np.array([type(cell) is kind for cell in cells]), refused[kind] or Reason.NESTED)
    if "boolean" in groups.values() or any(refused.values()):
        cells = [None if refused[type(cell)] else _written(cell) for cell in cells]
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:  # a JSON string may escape half of a surrogate pair
        return _checked([_encode(cell) for cell in cells], column)


def _refusal(group: str, kind: Kind) -> Reason | None:
    return Reason.NESTED if group == "nested" else REFUSED[kind].get(group)


def _written(cell: object) -> object:
    return str(cell).lower() if isinstance(cell, bool) else cell


def _encode(cell: object) -> bytes | None:
    return None if cell is None else str(cell).encode("utf-8", "surrogatepass")


def arrow_group(kind: pa.DataType) -> str:
    """Which column of `REFUSED` an Arrow type falls into."""
    tests: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
        "string": (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        ),
        "integer": (pa.types.is_integer,),
        "fraction": (pa.types.is_floating, pa.types.is_decimal),
        "boolean": (pa.types.is_boolean,),
        "moment": (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time),
        "null": (pa.types.is_null,),
    }
    return next((name for name, checks in tests.items() if any(c(kind) for c in checks)), "nested")


def _arrow_text(cells: pa.Array, column: Column) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    group = arrow_group(cells.type)
    if reason := _refusal(group, column.kind):
        column.reject(cells.is_valid(), reason)
        return pa.nulls(len(cells), pa.string())
    if group == "fraction" and pa.types.is_floating(cells.type):
        column.reject(pc.invert(pc.is_finite(cells)), Reason.NOT_FINITE)
    if group == "moment":
        return _moment_text(cells, column)
    if group != "string":
        return cells.cast(pa.string())
    try:
        text = cells.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return _checked(cells.cast(pa.binary()).to_pylist(), column)
    return text


def _moment_text(cells: pa.Array, column: Column) -> pa.Array:
    """Dates and times as ISO 8601; refused where there is none: out of range, or in an unknown zone."""
    try:
        text = cells.cast(pa.string())
    except pa.ArrowInvalid:  # the zone, which all cells share
        text = pa.nulls(len(cells), pa.string())
    text = pc.if_else(pc.match_substring_regex(text, _MOMENT), text, pa.scalar(None, pa.string()))
    column.reject(pc.and_(cells.is_valid(), text.is_null()), Reason.NOT_TIME)
    return text


def _checked(cells: Sequence[bytes | None], column: Column) -> pa.Array:
    """Decode cell by cell and refuse what is not UTF-8: the slow path, for chunks that need it."""
    decoded = [None if cell is None else _decode(cell) for cell in cells]
    wrong = [cell is not None and text is None for cell, text in zip(cells, decoded, strict=True)]
    column.reject(np.array(wrong, bool), Reason.NOT_UTF8)
    return pa.array(decoded, pa.string())


def _decode(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None
