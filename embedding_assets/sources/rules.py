"""The rules for rows: cells of any format in, columns of the event schema and the faults out.

Text formats and Parquet meet here: after `plain_text` every rule is the same code. N is the number
of rows.
"""

# pyarrow.compute makes its functions when it is imported, so pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedding_assets.sources.cells import Cells, Column, Kind, arrow_group, as_mask, plain_text
from embedding_assets.sources.quarantine import MAX_KEY_BYTES, MAX_RECORD_BYTES, Faults, Reason
from embedding_assets.sources.schema import TIME

#: What a column not named here holds is an id.
KINDS: dict[str, Kind] = {
    "created_at": "time",
    "weight": "weight",
    "text": "text",
    "value": "value",
    "lang": "label",
    "kind": "label",
    "topic": "label",
    "attribute": "label",
}

# An integer that went through a float (pandas with nulls) would never match its own id in another
# table.
_FRACTION = r"^[+-]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]\d+)$"
_INVISIBLE = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
_FORMAT = r"\p{Cf}"
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)? ?(?:(Z)|([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)?",
    re.ASCII | re.IGNORECASE,
)
# Twitter's own API: "Wed Oct 10 20:19:24 +0000 2018".
_TWITTER = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d:\d\d:\d\d) ([+-]\d{4}) (\d{4})", re.ASCII)
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# A time of 0 or a year 9999 stands for "unknown" in many exports and would stretch the weeks over
# centuries.
_RANGE_US = tuple((datetime(y, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND for y in (1990, 2100))
_UNIT_US = {"s": 10**6, "ms": 10**3, "us": 1, "day": 86400 * 10**6}


def judge(schema: pa.Schema, cells: Mapping[str, Cells], faults: Faults) -> tuple[pa.Table, np.ndarray]:
    """Convert N rows to an event table's columns and refuse the rows that break a rule.

    Args:
        schema: of the event table.
        cells: what was read, by the names of `schema`; a nullable column may be absent.
        faults: of the N rows; what is set already stands, new faults are added.

    Returns:
        The N rows in `schema` (a refused row holds null or its remains), and (N,) bool: the row's
        text holds invisible format characters.
    """
    columns, flagged = [], np.zeros(len(faults), bool)
    for field in schema:
        column = Column(field.name, KINDS.get(field.name, "id"), faults)
        array = _convert(cells.get(field.name), column)
        if not field.nullable:
            column.reject(array.is_null(), Reason.MISSING)
        if column.kind in ("label", "text", "value"):
            flagged |= as_mask(pc.match_substring_regex(array, _FORMAT))
        columns.append(array)
    nullable = pa.schema([field.with_nullable(True) for field in schema])  # noqa: FBT003 - Arrow's signature
    return pa.Table.from_arrays(columns, schema=nullable), flagged & ~faults.bad


def _convert(cells: Cells | None, column: Column) -> pa.Array:
    if cells is None:
        cells = pa.nulls(len(column.faults))
    if column.kind == "time":
        return times(cells, column)
    if column.kind == "weight":
        return weights(cells, column)
    return strings(cells, column)


def strings(cells: Cells, column: Column) -> pa.Array:
    """Ids, labels and text as (N,) string in NFC; an empty cell is null, but for text."""
    array = plain_text(cells, column)
    if column.kind != "text":
        array = _drop(array, pc.equal(pc.binary_length(array), 0))
    column.reject(pc.match_substring(array, "\0"), Reason.NUL)
    if not pc.all(pc.string_is_ascii(array)).as_py():
        array = pc.utf8_normalize(array, "NFC")
    is_key = column.kind in ("id", "label")
    limit, reason = (MAX_KEY_BYTES, Reason.TOO_LONG) if is_key else (MAX_RECORD_BYTES, Reason.TEXT_TOO_LONG)
    column.reject(pc.greater(pc.binary_length(array), limit), reason)
    if column.kind == "id":
        column.reject(pc.match_substring_regex(array, _INVISIBLE), Reason.INVISIBLE)
        column.reject(pc.match_substring_regex(array, _FRACTION), Reason.FRACTION)
    return array


def times(cells: Cells, column: Column) -> pa.Array:
    """(N,) timestamp[us, UTC], null where there is no good time; without a zone it is UTC."""
    if isinstance(cells, pa.Array) and arrow_group(cells.type) == "moment" and not pa.types.is_time(cells.type):
        micros, inside = _from_moments(cells)
    else:
        text = plain_text(cells, column)
        micros = _parse_unique(_drop(text, pc.equal(text, "")), parse_time, column, Reason.NOT_TIME)
        inside = pc.and_(pc.greater_equal(micros, _RANGE_US[0]), pc.less(micros, _RANGE_US[1]))
    column.reject(pc.invert(inside), Reason.TIME_RANGE)
    return pc.if_else(inside, micros, pa.scalar(None, pa.int64())).cast(TIME)


def weights(cells: Cells, column: Column) -> pa.Array:
    """(N,) float32, finite and above 0; null is 1."""
    if isinstance(cells, pa.Array) and arrow_group(cells.type) in ("integer", "fraction"):
        numbers = cells.cast(pa.float64(), safe=False)
    else:
        text = plain_text(cells, column)
        text = _drop(text, pc.equal(text, ""))
        numbers = _parse_unique(text, parse_number, column, Reason.NOT_NUMBER)
    values = pc.fill_null(numbers.cast(pa.float64()), 1.0).to_numpy()
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    column.reject(~(np.isfinite(values) & (values > 0)), Reason.NOT_POSITIVE)
    return pa.array(values)


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 (UTC) of an ISO 8601 or Twitter API time; None for other text.

    Example:
        >>> parse_time("2015-12-01 01:00+01:00") == parse_time("Tue Dec 01 00:00:00 +0000 2015")
        True
    """
    if twitter := _TWITTER.fullmatch(text):
        month, day, clock, zone, year = twitter.groups()
        number = _MONTHS.find(month) // 3 + 1
        text = f"{year}-{number:02}-{day}T{clock}{zone}"
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    parts = [int(part or 0) for part in match.groups()[:6]]
    fraction, _, sign, hours, minutes = match.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        moment = datetime(*parts, tzinfo=UTC)  # pyright: ignore[reportArgumentType] - six integers
    except ValueError:
        return None
    micros = (moment - _EPOCH) // _MICROSECOND + int((fraction or "0").ljust(6, "0")[:6])
    return micros - (-1 if sign == "-" else 1) * (offset // _MICROSECOND)


def parse_number(text: str) -> float | None:
    """A decimal number, or nan or inf, as float64; None for other text."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _drop(array: pa.Array, where: pa.Array) -> pa.Array:
    return pc.if_else(where, pa.scalar(None, array.type), array)


def _from_moments(cells: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Microseconds, and which lie in range: compared in the cells' unit, since a cast may wrap."""
    kind = cells.type
    unit = "day" if pa.types.is_date32(kind) else "ms" if pa.types.is_date64(kind) else kind.unit
    numbers = cells.cast(pa.int32() if unit == "day" else pa.int64()).cast(pa.int64())
    low, high = (bound * 1000 if unit == "ns" else bound // _UNIT_US[unit] for bound in _RANGE_US)
    inside = pc.and_(pc.greater_equal(numbers, low), pc.less(numbers, high))
    numbers = pc.if_else(inside, numbers, pa.scalar(None, pa.int64()))
    micros = pc.divide(numbers, 1000) if unit == "ns" else pc.multiply(numbers, _UNIT_US[unit])
    return micros, inside


def _parse_unique(text: pa.Array, parse: Callable[[str], float | None], column: Column, reason: Reason) -> pa.Array:
    """Parse each distinct text once; refuse those that `parse` answers with None."""
    encoded = text.dictionary_encode()
    parsed = [parse(word) for word in encoded.dictionary.to_pylist()]
    kind = pa.int64() if parse is parse_time else pa.float64()
    values = pa.array(parsed, kind).take(encoded.indices)
    column.reject(pc.and_(text.is_valid(), values.is_null()), reason)
    return values
