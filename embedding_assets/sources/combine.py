"""One week of one table from all its files: reverse edges, exact repeats, ids given twice.

What flows in: the parts of each file, already judged row by row. What flows out: a `Batch`.
"""

# pyarrow.compute makes its functions when it is imported, so pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedding_assets.sources.quarantine import Reason
from embedding_assets.sources.schema import QUARANTINE, TABLES, Batch
from embedding_assets.sources.source_toml import InputFile, TableSpec
from embedding_assets.sources.staging import Part, empty_rows

#: Tables whose rows have an id of their own, which no two rows of one week may share. Weeks are read
#: one by one, so an id that comes again in another week is accepted in both.
UNIQUE = {"tweets": "tweet_id"}
_PIECE, _ORDER = "piece", "order"


class HasRaw(Protocol):
    """A file that can show its accepted records again."""

    @property
    def file(self) -> InputFile:
        """Which file it is."""
        ...

    def raw(self, week: int, lines: list[int]) -> list[bytes]:
        """The bytes of accepted records, by their lines."""
        ...


@dataclass(frozen=True)
class Piece:
    """What one file gave for one of its weeks, and the file to ask again."""

    reader: HasRaw
    week: int
    part: Part


def combine(spec: TableSpec, pieces: Sequence[Piece]) -> Batch:
    """Merge the pieces of a week, in their order.

    An undirected edge gives its reverse once it is accepted, so it counts as two rows that came in,
    and a refused one as one. Of exact repeats, and of rows with one id, the first in the week is kept.
    """
    rows = pa.concat_tables([_numbered(spec, None, -1), *(_numbered(spec, p, i) for i, p in enumerate(pieces))])
    if spec.undirected:
        rows = pa.concat_tables([rows, _reversed(rows)])
    names = TABLES[spec.table].names
    rows = rows.append_column(_ORDER, pa.array(np.arange(rows.num_rows)))
    kept = _first_of_each(rows, names)
    twice = _repeated_ids(kept, UNIQUE.get(spec.table))
    refused = _refuse(spec, kept.filter(pa.array(twice)), pieces)
    kept = kept.filter(pa.array(~twice))
    quarantined = pa.concat_tables([QUARANTINE.empty_table(), *(p.part.refused for p in pieces), refused])
    return Batch(
        rows=_in_schema(kept, spec.table),
        quarantined=quarantined.combine_chunks(),
        rows_in=rows.num_rows + sum(piece.part.refused.num_rows for piece in pieces),
        deduplicated=rows.num_rows - kept.num_rows - refused.num_rows,
        flagged=pc.sum(kept["flagged"]).as_py() or 0,
        records=sum(piece.part.records for piece in pieces),
    )


def _numbered(spec: TableSpec, piece: Piece | None, number: int) -> pa.Table:
    rows = empty_rows(spec) if piece is None else piece.part.accepted
    return rows.append_column(_PIECE, pa.array(np.full(rows.num_rows, number, np.int32)))


def _reversed(rows: pa.Table) -> pa.Table:
    names = rows.column_names
    swapped = {"src": "dst", "dst": "src"}
    return rows.select([swapped.get(name, name) for name in names]).rename_columns(names)


def _first_of_each(rows: pa.Table, names: list[str]) -> pa.Table:
    """Rows that differ in `names`, the first of each, in their order."""
    groups = rows.group_by(names, use_threads=False).aggregate([(_ORDER, "min")])
    if groups.num_rows == rows.num_rows:
        return rows
    return rows.take(pa.array(np.sort(groups[f"{_ORDER}_min"].to_numpy())))


def _repeated_ids(rows: pa.Table, name: str | None) -> np.ndarray:
    """(N,) bool: an earlier row has the same id."""
    if name is None or pc.count_distinct(rows[name]).as_py() == rows.num_rows:
        return np.zeros(rows.num_rows, bool)
    groups = rows.group_by([name], use_threads=False).aggregate([(_ORDER, "min")])
    return ~np.isin(rows[_ORDER].to_numpy(), groups[f"{_ORDER}_min"].to_numpy())


def _refuse(spec: TableSpec, rows: pa.Table, pieces: Sequence[Piece]) -> pa.Table:
    """Rows whose id is taken, as quarantine records."""
    tables = [QUARANTINE.empty_table()]
    for number, piece in enumerate(pieces):
        here = rows.filter(pc.equal(rows[_PIECE], number))
        if here.num_rows == 0:
            continue
        columns = {
            "table": pa.repeat(pa.scalar(spec.table), here.num_rows),
            "file": pa.repeat(pa.scalar(piece.reader.file.shown), here.num_rows),
            "line": here["line"],
            "byte_offset": here["byte_offset"],
            "field": pa.repeat(pa.scalar(UNIQUE[spec.table]), here.num_rows),
            "reason": pa.repeat(pa.scalar(str(Reason.DUPLICATE_ID)), here.num_rows),
            "raw": pa.array(piece.reader.raw(piece.week, here["line"].to_pylist()), pa.binary()),
        }
        tables.append(pa.table(columns).cast(QUARANTINE))
    return pa.concat_tables(tables)


def _in_schema(rows: pa.Table, table: str) -> pa.Table:
    schema = TABLES[table]
    rows = rows.select(schema.names).cast(schema)
    keys = [UNIQUE[table]] if table in UNIQUE else schema.names
    return rows.sort_by([(name, "ascending") for name in keys]).combine_chunks()
