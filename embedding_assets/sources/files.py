"""A folder of Parquet, CSV or JSONL files as a source of raw events.

What flows in: a `source.toml` (`source_toml`) and its files. What flows out: `Batch`es by week, for
which `rows_in == rows + quarantined + deduplicated`, and whose `records`, summed over all weeks,
are the records in the files (less `out_of_range`). A row whose own time cannot be told counts to
the last known week before it in its file, else to the file's first, else to the source's first. A
snapshot table is the same in every week.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from embedding_assets.records import Week
from embedding_assets.sources.chunks import NO_WEEK, week_name, week_number
from embedding_assets.sources.combine import Piece, combine
from embedding_assets.sources.parquet_files import ParquetSource
from embedding_assets.sources.parse import csv_header
from embedding_assets.sources.quarantine import (
    Faults,
    InvalidSetting,
    UnknownTable,
    UnreadableFile,
    suggest,
)
from embedding_assets.sources.rules import judge
from embedding_assets.sources.schema import TABLES, Batch, week_bounds
from embedding_assets.sources.source_toml import SourceSpec, TableSpec, load_spec
from embedding_assets.sources.staging import TextFile


@dataclass(frozen=True)
class FileSource:
    """Event tables in files, as a `source.toml` describes them.

    Attributes:
        spec: the checked settings.
        cache: folder for parsed text files and for indexes; safe to delete at any time.

    Example:
        source = FileSource.open("data/tweets.toml", cache=Path("data/staging"))
        batch = source.read("tweets", "2015-11-30")
    """

    spec: SourceSpec
    cache: Path

    @classmethod
    def open(cls, path: str | Path, *, cache: Path) -> "FileSource":
        """Check a source.toml against its files; only headers and footers are read.

        Raises:
            SourceError: a setting, a file or a column is wrong; the message names it.
        """
        source = cls(load_spec(Path(path)), cache)
        for spec in source.spec.tables.values():
            _check_constants(spec)
            for reader in source._readers(spec):
                _check_columns(spec, reader)
        return source

    @property
    def fingerprint(self) -> str:
        """The source.toml's path: its files may change and grow, and stay the same source."""
        return f"{self.name} ({self.spec.path.absolute()})"

    @property
    def name(self) -> str:
        """The source.toml's name, or its folder's where it is called just that."""
        path = self.spec.path
        return path.absolute().parent.name if path.stem == "source" else path.stem

    @property
    def tables(self) -> frozenset[str]:
        """The event tables that the source.toml describes."""
        return frozenset(self.spec.tables)

    @property
    def first_week(self) -> Week:
        """`[weeks] first`, else the first week in the data (text files are parsed for it, once).

        Raises:
            InvalidSetting: nothing has a time, and the settings name no week.
        """
        return self.spec.first_week or week_name(min(self._weeks("first")))

    @property
    def last_week(self) -> Week:
        """`[weeks] last`, else the last week in the data."""
        return self.spec.last_week or week_name(max(self._weeks("last")))

    def read(self, table: str, week: Week) -> Batch:
        """All rows of `table` in `week`; no rows outside the source's weeks.

        Raises:
            UnknownTable: the source does not describe `table`.
            UnreadableFile: a file is damaged, or changed while it was read.
            ValueError: `week` is no Monday.
        """
        spec = self._spec(table)
        week_bounds(week)
        pieces = []
        for reader in self._readers(spec):
            for number in self._numbers(spec, reader, week):
                piece = Piece(reader, number, reader.read(number))
                _check_count(spec, reader, piece)
                pieces.append(piece)
        return replace(combine(spec, pieces), out_of_range=self.out_of_range(table))

    def out_of_range(self, table: str) -> int:
        """How many records of `table` the settings `[weeks]` leave out."""
        readers = self._readers(self._spec(table))
        return sum(
            bucket.records
            for reader in readers
            for number, bucket in reader.buckets().items()
            if number != NO_WEEK and not self._is_inside(number)
        )

    def _spec(self, table: str) -> TableSpec:
        if table not in self.spec.tables:
            raise UnknownTable(f"{self.spec.path}: no table {table!r}; {suggest(table, self.tables)}")
        return self.spec.tables[table]

    def _readers(self, spec: TableSpec) -> list[ParquetSource | TextFile]:
        return [
            (ParquetSource if file.format == "parquet" else TextFile)(spec, file, self.cache) for file in spec.files
        ]

    def _weeks(self, missing: str) -> Iterator[int]:
        found = False
        for spec in self.spec.tables.values():
            for reader in self._readers(spec) if _has_times(spec) else ():
                inside = filter(self._is_inside, reader.buckets().keys() - {NO_WEEK})
                for number in inside:
                    found = True
                    yield number
        if not found:
            raise InvalidSetting(
                f"{self.spec.path}: no row has a time inside its weeks, so they are unknown;"
                f" set [weeks] {missing} = <a Monday>"
            )

    def _numbers(self, spec: TableSpec, reader: ParquetSource | TextFile, week: Week) -> list[int]:
        """Which of a reader's buckets make up `week`."""
        number, here = week_number(week), reader.buckets()
        if not _has_times(spec):
            return [NO_WEEK] if NO_WEEK in here else []
        numbers = [number] if number in here and self._is_inside(number) else []
        if NO_WEEK in here and week == self.first_week:
            numbers.append(NO_WEEK)
        return numbers

    def _is_inside(self, number: int) -> bool:
        first, last = self.spec.first_week, self.spec.last_week
        week = week_name(number)
        return (first is None or week >= first) and (last is None or week <= last)


def _has_times(spec: TableSpec) -> bool:
    return "created_at" in TABLES[spec.table].names


def _check_columns(spec: TableSpec, reader: ParquetSource | TextFile) -> None:
    if reader.file.format == "jsonl":
        return  # has no header: its keys are known once it is parsed
    is_parquet = isinstance(reader, ParquetSource)
    names = reader.columns() if is_parquet else csv_header(spec, reader.file)
    if names or is_parquet:
        spec.resolve(reader.file, names)


def _check_constants(spec: TableSpec) -> None:
    """A constant must pass the rules that a cell must pass."""
    for name, value in spec.constants.items():
        faults = Faults(1)
        judge(pa.schema([TABLES[spec.table].field(name)]), {name: pa.array([value])}, faults)
        if faults.bad.any():
            raise InvalidSetting(f"{spec.where('constants.' + name)}: {faults.reasons()[0]}: {value!r}")


def _check_count(spec: TableSpec, reader: ParquetSource | TextFile, piece: Piece) -> None:
    """What was read must be what the index counted, else a file or the cache has changed."""
    part = piece.part
    read, counted = (
        part.accepted.num_rows + part.refused.num_rows,
        reader.buckets()[piece.week].rows,
    )
    if read != counted and not spec.wide:
        raise UnreadableFile(
            f"{spec.where('path')}: {reader.file.path} gave {read} rows for {counted} counted;"
            f" it changed while it was read, or {reader.cache} is damaged: delete that folder"
        )
