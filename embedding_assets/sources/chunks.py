"""A chunk of one file's rows on its way through the rules: cells in, accepted and refused rows out.

N is the number of rows of a chunk; a week is counted from that of Monday 1969-12-29, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from embedding_assets.records import Week
from embedding_assets.sources.cells import Cells
from embedding_assets.sources.quarantine import Faults
from embedding_assets.sources.rules import judge
from embedding_assets.sources.schema import QUARANTINE, TABLES
from embedding_assets.sources.source_toml import InputFile, TableSpec

#: Instead of a week's number: the rows of a table without times, and rows whose week cannot be told.
NO_WEEK = -1_000_000  # before the year 1
#: What an accepted row carries along beside its event columns: where it came from.
ORIGIN = pa.schema(
    [
        pa.field("line", pa.int64()),
        pa.field("byte_offset", pa.int64()),
        pa.field("raw", pa.binary()),
        pa.field("flagged", pa.bool_()),
    ]
)
_FIRST_MONDAY = date(1969, 12, 29)
_WEEK_US = 7 * 86400 * 10**6
_MONDAY_TO_EPOCH_US = 3 * 86400 * 10**6


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """N consecutive rows of a file, as read.

    Attributes:
        cells: by the names of the event schema, N cells each.
        faults: what is already wrong with them.
        line: (N,) int64, of each row's record in the file, from 1.
        offset: (N,) int64, of its first byte; null where the format has none.
        raw: (N,) binary, its bytes; null where they are fetched only when needed.
        records: how many stored records the rows came from.
    """

    cells: Mapping[str, Cells]
    faults: Faults
    line: pa.Array
    offset: pa.Array
    raw: pa.Array
    records: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Sifted:
    """A chunk after the rules.

    Attributes:
        accepted: the event columns, then `ORIGIN`.
        refused: the columns of `QUARANTINE`; `raw` is null where it is fetched only when needed.
        bad: (N,) bool, which rows were refused.
        time: (N,) timestamp, null where it cannot be told; None for a table without times.
    """

    accepted: pa.Table
    refused: pa.Table
    bad: np.ndarray
    time: pa.Array | None


def sift(spec: TableSpec, file: InputFile, chunk: Chunk) -> Sifted:
    """Apply every rule that looks at one row."""
    size = len(chunk.faults)
    cells = dict(chunk.cells)
    for name, value in spec.constants.items():
        cells[name] = pa.repeat(pa.scalar(value), size)
    schema, faults = TABLES[spec.table], chunk.faults
    rows, flagged = judge(schema, cells, faults)
    good = pa.array(~faults.bad)
    origin = [chunk.line, chunk.offset, chunk.raw, pa.array(flagged)]
    accepted = pa.Table.from_arrays([*rows.columns, *origin], schema=pa.schema([*rows.schema, *ORIGIN])).filter(good)
    fields = _attribute_fields(faults.fields(), rows) if spec.wide else faults.fields()
    names = [pa.repeat(pa.scalar(name), size) for name in (spec.table, file.shown)]
    refused = pa.Table.from_arrays(
        [*names, chunk.line, chunk.offset, fields, faults.reasons(), chunk.raw],
        names=QUARANTINE.names,
    ).filter(pa.array(faults.bad))
    time = rows["created_at"].combine_chunks() if "created_at" in schema.names else None
    return Sifted(accepted=accepted, refused=refused, bad=faults.bad, time=time)


def _attribute_fields(fields: pa.Array, rows: pa.Table) -> pa.Array:
    """In a wide table the faulty column is the attribute's own, not our `value`."""
    attributes = rows["attribute"].combine_chunks()
    pairs = zip(fields.to_pylist(), attributes.to_pylist(), strict=True)
    return pa.array([name if field == "value" else field for field, name in pairs], pa.string())


def fill_weeks(time: pa.Array, carry: int) -> tuple[np.ndarray, int]:
    """The week of each row; a row without a time belongs to the last known week before it.

    Args:
        time: (N,) timestamp[us, UTC], null where it cannot be told.
        carry: last known week before the first row, or `NO_WEEK`.

    Returns:
        (N,) int64 week numbers, and the carry for the rows that follow.
    """
    micros = time.cast(pa.int64())
    weeks = (micros.fill_null(0).to_numpy() + _MONDAY_TO_EPOCH_US) // _WEEK_US
    known = np.asarray(micros.is_valid())
    last = np.maximum.accumulate(np.where(known, np.arange(len(weeks)), -1))
    filled = np.where(last >= 0, weeks[last], carry)
    return filled, int(filled[-1]) if len(filled) else carry


def fixed_week(spec: TableSpec) -> int | None:
    """The one week of all rows: `NO_WEEK` without times, that of a constant time, else None."""
    if "created_at" not in TABLES[spec.table].names:
        return NO_WEEK
    if "created_at" not in spec.constants:
        return None
    constant = {"created_at": pa.array([spec.constants["created_at"]])}
    rows, _ = judge(pa.schema([TABLES[spec.table].field("created_at")]), constant, Faults(1))
    return fill_weeks(rows["created_at"].combine_chunks(), NO_WEEK)[1]


def week_name(number: int) -> Week:
    """Monday of a numbered week: `week_name(2395) == "2015-11-23"`."""
    return (_FIRST_MONDAY + timedelta(weeks=number)).isoformat()


def week_number(week: Week) -> int:
    """The reverse of `week_name`."""
    return (date.fromisoformat(week) - _FIRST_MONDAY).days // 7
