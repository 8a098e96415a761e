"""Parquet files read week by week: the row groups that hold it, the columns that we have.

Which weeks a row group holds is found once by reading its time column and kept under the cache:
statistics may be absent, and cannot say to which week a row without a time belongs.
"""

# pyarrow.compute makes its functions when it is imported, so pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embedding_assets.sources.arrow_json import rows_as_json
from embedding_assets.sources.cells import Column
from embedding_assets.sources.chunks import NO_WEEK, Chunk, Sifted, fill_weeks, fixed_week, sift
from embedding_assets.sources.parquet_batches import column_names, opened, read_batches
from embedding_assets.sources.quarantine import Faults
from embedding_assets.sources.rules import times
from embedding_assets.sources.schema import QUARANTINE
from embedding_assets.sources.source_toml import InputFile, TableSpec
from embedding_assets.sources.staging import Bucket, Part, empty_rows, fingerprint, settle


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Where a row group begins and which weeks it holds.

    Attributes:
        start: number of rows in the groups before it.
        carry: week of a row without a time at its very beginning.
        weeks: rows in each week.
    """

    start: int
    carry: int
    weeks: Mapping[int, int]


@dataclass(frozen=True)
class ParquetSource:
    """One Parquet file of a source."""

    spec: TableSpec
    file: InputFile
    cache: Path

    def columns(self) -> list[str]:
        """The names of its columns.

        Raises:
            UnreadableFile: it is no Parquet file, or damaged.
            MissingColumn: it names one column twice.
        """
        with opened(self.spec, self.file) as parquet:
            return column_names(self.spec, self.file, parquet)

    def buckets(self) -> Mapping[int, Bucket]:
        """What the file holds, by week number."""
        total: Counter[int] = Counter()
        for group in self._index():
            total.update(group.weeks)
        return {week: Bucket(rows=rows, records=rows) for week, rows in total.items()}

    def read(self, week: int) -> Part:
        """The rows of one week, judged; an empty part where the file has none."""
        groups = self._index()
        with opened(self.spec, self.file) as parquet:
            sifted = list(self._sift(parquet, groups, week))
        accepted = pa.concat_tables([empty_rows(self.spec), *(one.accepted.drop_columns("raw") for one in sifted)])
        refused = [one.refused for one in sifted if one.refused.num_rows]
        return Part(
            accepted=accepted,
            refused=self._with_raw(refused) if refused else QUARANTINE.empty_table(),
            records=sum(group.weeks.get(week, 0) for group in groups),
        )

    def raw(self, week: int, lines: list[int]) -> list[bytes]:
        """Rows as JSON, by their numbers from 1; `week` is not needed to find them."""
        del week
        found: dict[int, bytes] = {}
        wanted = np.unique(np.array(lines, np.int64) - 1)
        with opened(self.spec, self.file) as parquet:
            start = 0
            for number in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(number).num_rows
                here = wanted[(wanted >= start) & (wanted < start + rows)]
                for first, batch in read_batches(parquet, number, None) if len(here) else ():
                    low = start + first
                    inside = here[(here >= low) & (here < low + batch.num_rows)] - low
                    found.update(zip((inside + low + 1).tolist(), rows_as_json(batch.take(inside)), strict=True))
                start += rows
        return [found[line] for line in lines]

    def _with_raw(self, tables: list[pa.Table]) -> pa.Table:
        refused = pa.concat_tables(tables)
        raw = pa.array(self.raw(NO_WEEK, refused["line"].to_pylist()), pa.binary())
        return refused.set_column(refused.num_columns - 1, "raw", raw).cast(QUARANTINE)

    def _sift(self, parquet: pq.ParquetFile, groups: list[RowGroup], week: int) -> Iterator[Sifted]:
        names = column_names(self.spec, self.file, parquet)
        found = self.spec.resolve(self.file, names)
        wanted = names if self.spec.wide else sorted(set(found.values()))
        for number, group in enumerate(groups):
            if week not in group.weeks:
                continue
            carry = group.carry
            for first, batch in read_batches(parquet, number, wanted):
                rows = np.arange(group.start + first, group.start + first + batch.num_rows)
                if group.weeks.keys() != {week}:
                    weeks, carry = self._weeks(batch[found["created_at"]], carry)
                    batch, rows = batch.filter(pa.array(weeks == week)), rows[weeks == week]
                for chunk in self._chunks(batch, rows + 1, found):
                    yield sift(self.spec, self.file, chunk)

    def _chunks(self, batch: pa.RecordBatch, lines: np.ndarray, found: dict[str, str]) -> Iterator[Chunk]:
        if not self.spec.wide:
            cells = {ours: batch[theirs] for ours, theirs in found.items()}
            yield _chunk(cells, lines, records=len(lines))
            return
        user = found["user_id"]
        for name in [name for name in batch.schema.names if name != user]:
            here = np.flatnonzero(_has_value(batch[name]))
            cells = {
                "user_id": batch[user].take(pa.array(here)),
                "attribute": pa.repeat(pa.scalar(name), len(here)),
                "value": batch[name].take(pa.array(here)),
            }
            yield _chunk(cells, lines[here], records=0)

    @staticmethod
    def _weeks(cells: pa.Array, carry: int) -> tuple[np.ndarray, int]:
        return fill_weeks(times(cells, Column("created_at", "time", Faults(len(cells)))), carry)

    def _index(self) -> list[RowGroup]:
        path = self.cache / "parquet" / fingerprint(self.spec, self.file)
        if not path.exists():
            groups = self._scan()
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".aside-{uuid.uuid4().hex}")
            aside.write_text(json.dumps([asdict(group) for group in groups]))
            aside.replace(path)
            settle(self.spec, self.file, path)
        groups = json.loads(path.read_text())
        return [
            RowGroup(
                start=group["start"],
                carry=group["carry"],
                weeks={int(week): rows for week, rows in group["weeks"].items()},
            )
            for group in groups
        ]

    def _scan(self) -> list[RowGroup]:
        fixed, groups, start, carry = fixed_week(self.spec), [], 0, NO_WEEK
        with opened(self.spec, self.file) as parquet:
            found = self.spec.resolve(self.file, column_names(self.spec, self.file, parquet))
            for number in range(parquet.num_row_groups):
                rows, before = parquet.metadata.row_group(number).num_rows, carry
                count: Counter[int] = Counter()
                if fixed is not None:
                    count[fixed] = rows
                for _, batch in read_batches(parquet, number, [found["created_at"]]) if fixed is None else ():
                    weeks, carry = self._weeks(batch.column(0), carry)
                    count.update(weeks.tolist())
                groups.append(RowGroup(start=start, carry=before, weeks=dict(count)))
                start += rows
        return groups if fixed is not None else _join_first(groups)


def _join_first(groups: list[RowGroup]) -> list[RowGroup]:
    """Give rows before the first known time to the first known week, where there is one."""
    known = (week for group in groups for week in group.weeks if week != NO_WEEK)
    first = next(known, NO_WEEK)
    joined = []
    for group in groups:
        weeks: Counter[int] = Counter()
        for week, rows in group.weeks.items():
            weeks[first if week == NO_WEEK else week] += rows
        carry = first if group.carry == NO_WEEK else group.carry
        joined.append(RowGroup(start=group.start, carry=carry, weeks=dict(weeks)))
    return joined


def _chunk(cells: Mapping[str, pa.Array], lines: np.ndarray, records: int) -> Chunk:
    size = len(lines)
    return Chunk(
        cells=cells,
        faults=Faults(size),
        line=pa.array(lines, pa.int64()),
        offset=pa.nulls(size, pa.int64()),
        raw=pa.nulls(size, pa.binary()),
        records=records,
    )


def _has_value(cells: pa.Array) -> np.ndarray:
    valid = np.asarray(cells.is_valid())
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        valid &= np.asarray(pc.fill_null(pc.binary_length(cells), 0)) > 0
    return valid
