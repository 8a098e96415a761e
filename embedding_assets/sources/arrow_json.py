"""Refused Parquet rows as JSON, whatever they hold: a row is often refused for what Python cannot hold.

A temporal value that Python has no object for (its range, its nanoseconds, its zone) is the stored
integer; what has no JSON, like `nan`, is its text.
"""

import json
import math

import pyarrow as pa

# What pyarrow raises for a value outside Python's range, with nanoseconds, in an unknown zone, that
# is not UTF-8, or with two fields of one name. OSError: a zone named like a folder of the zone files.
_NO_PYTHON_VALUE = (ArithmeticError, LookupError, ValueError, OSError, pa.ArrowException)


def rows_as_json(batch: pa.RecordBatch) -> list[bytes]:
    """Each row as one JSON object, text that is not UTF-8 by its very bytes.

    Example:
        >>> rows_as_json(pa.RecordBatch.from_pydict({"at": pa.array([2**61], pa.timestamp("ms"))}))
        [b'{"at": 2305843009213693952}']
    """
    names = batch.schema.names
    rows = zip(*map(_values, batch.columns), strict=True)
    return [_dump(dict(zip(names, row, strict=True))).encode("utf-8", "surrogateescape") for row in rows]


def _values(column: pa.Array) -> list[object]:
    """Python values of an array's cells."""
    if _counts_nanoseconds(column.type):
        return [_value(cell) for cell in column]
    try:
        return [cell.as_py() for cell in column]
    except _NO_PYTHON_VALUE:
        return [_value(cell) for cell in column]


def _value(cell: pa.Scalar) -> object:
    # pyarrow gives a pandas object for nanoseconds where pandas is installed, and raises where it is not
    if cell.is_valid and _counts_nanoseconds(cell.type):
        return _stored(cell)
    try:
        return cell.as_py()
    except _NO_PYTHON_VALUE:
        return _stored(cell)


def _counts_nanoseconds(kind: pa.DataType) -> bool:
    """Whether a type, or a part of it, is a time or a duration in nanoseconds."""
    if isinstance(kind, pa.ExtensionType):
        return _counts_nanoseconds(kind.storage_type)
    if isinstance(kind, pa.DictionaryType):
        return _counts_nanoseconds(kind.value_type)
    parts = [kind.field(index).type for index in range(kind.num_fields)]
    return getattr(kind, "unit", None) == "ns" or any(map(_counts_nanoseconds, parts))


def _stored(cell: pa.Scalar) -> object:
    """A cell without `as_py`: its integer, its bytes, or its parts one by one."""
    if isinstance(cell, pa.ExtensionScalar | pa.DictionaryScalar):
        return _value(cell.value)
    if isinstance(cell, pa.StructScalar):
        names = [field.name for field in cell.type]
        parts = [_value(cell[index]) for index in range(len(names))]
        pairs = list(zip(names, parts, strict=True))
        return dict(pairs) if len(set(names)) == len(names) else pairs
    if pa.types.is_temporal(cell.type):
        return _stored_time(cell)
    if isinstance(cell, pa.BinaryScalar):  # text too
        return _text(cell.as_buffer().to_pybytes())
    if isinstance(cell, pa.ListScalar):  # maps too
        return _values(cell.values)
    return str(cell)


def _dump(item: object) -> str:
    try:
        return json.dumps(item, ensure_ascii=False, default=_text, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(item), ensure_ascii=False, default=_text, allow_nan=False)


def _finite(item: object) -> object:
    """The same with `nan` and the infinities as text: JSON has none."""
    if isinstance(item, float) and not math.isfinite(item):
        return str(item)
    if isinstance(item, dict):
        return {key: _finite(value) for key, value in item.items()}
    return [_finite(value) for value in item] if isinstance(item, list | tuple) else item


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _stored_time(cell: pa.Scalar) -> object:
    """The integer, unless it is whole microseconds that Python has an object for."""
    if not _counts_nanoseconds(cell.type) or cell.value % 1000:
        return cell.value
    try:
        return str(cell.cast(_microseconds(cell.type)).as_py())
    except _NO_PYTHON_VALUE:
        return cell.value


def _microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")
