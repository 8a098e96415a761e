"""A text file parsed once: its accepted and refused rows as Parquet by week, under the cache.

A staging is a folder named by a hash of the file's fingerprint and of every setting that shapes its
rows. It is written aside and renamed, so that it is whole or absent; of two that race the second is
thrown away.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedding_assets.sources.chunks import NO_WEEK, ORIGIN, Chunk, Sifted, fill_weeks, sift
from embedding_assets.sources.parse import read_chunks
from embedding_assets.sources.quarantine import MissingFile, UnreadableFile
from embedding_assets.sources.schema import QUARANTINE, TABLES
from embedding_assets.sources.source_toml import InputFile, TableSpec

#: Part of every fingerprint; raise it when a rule changes, and what was staged is parsed again.
RULES_VERSION = 1
_FLUSH_BYTES = 64 << 20
_STALE_SECONDS = 86400.0


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One week of one file: how much it holds and, of a staged file, where."""

    rows: int
    records: int
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What one file holds for one week, after the rules for single rows.

    Attributes:
        accepted: the event columns, then `ORIGIN`; without `raw`, which is fetched where needed.
        refused: in the schema `QUARANTINE`.
        records: stored records.
    """

    accepted: pa.Table
    refused: pa.Table
    records: int


def fingerprint(spec: TableSpec, file: InputFile) -> str:
    """`<place>-<state>`: hashes of the file's path and settings, and of its size and time.

    Raises:
        MissingFile: it is gone.
    """
    try:
        stat = file.path.stat()
    except OSError as error:
        raise MissingFile(f"{spec.where('path')}: {file.path} is gone: {error}") from error
    shape = [spec.table, dict(spec.columns), dict(spec.constants), spec.delimiter, spec.wide]
    key = [RULES_VERSION, os.fsencode(file.path.absolute()).hex(), file.shown, file.format, *shape]
    parts = (key, [stat.st_size, stat.st_mtime_ns])
    texts = (json.dumps(part, sort_keys=True) for part in parts)
    return "-".join(hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts)


def settle(spec: TableSpec, file: InputFile, kept: Path) -> None:
    """Confirm what was just kept of a file, and drop what was kept of its earlier states.

    A row that was taken out of a file must not live on in the cache.

    Raises:
        UnreadableFile: the file changed while it was read; nothing is kept.
    """
    if fingerprint(spec, file) != kept.name:
        _remove(kept)
        raise UnreadableFile(f"{spec.where('path')}: {file.path} changed while it was read; try again")
    place = kept.name.partition("-")[0]
    for path in kept.parent.glob(f"{place}-*"):
        if path != kept:
            _remove(path)
    for path in kept.parent.glob(".aside-*"):  # a killed process left it, if it is old
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class TextFile:
    """A CSV or JSONL file, read through its staging; it is parsed when first asked."""

    spec: TableSpec
    file: InputFile
    cache: Path

    def buckets(self) -> Mapping[int, Bucket]:
        """What the file holds, by week number.

        Raises:
            SourceError: the file cannot be read as a whole.
        """
        return _load_index(self._staged() / "index.json")

    def read(self, week: int) -> Part:
        """The rows of one week; an empty part where the file has none."""
        folder = self._staged()
        bucket = _load_index(folder / "index.json").get(week, Bucket(rows=0, records=0))
        columns = empty_rows(self.spec).column_names
        accepted = [_read(folder / name, columns) for name in bucket.accepted]
        refused = [_read(folder / name, QUARANTINE.names) for name in bucket.refused]
        return Part(
            accepted=pa.concat_tables([empty_rows(self.spec), *accepted]),
            refused=pa.concat_tables([QUARANTINE.empty_table(), *(t.cast(QUARANTINE) for t in refused)]),
            records=bucket.records,
        )

    def raw(self, week: int, lines: list[int]) -> list[bytes]:
        """The bytes of accepted records, by their lines."""
        folder = self._staged()
        bucket = _load_index(folder / "index.json")[week]
        wanted, found = set(lines), dict[int, bytes]()
        for name in bucket.accepted:
            table = _read(folder / name, ["line", "raw"])
            pairs = zip(table["line"].to_pylist(), table["raw"], strict=True)
            found.update({line: raw.as_py() for line, raw in pairs if line in wanted})
        return [found[line] for line in lines]

    def _staged(self) -> Path:
        folder = self.cache / "text" / fingerprint(self.spec, self.file)
        if not (folder / "index.json").exists():
            _stage(self.spec, self.file, folder)
            settle(self.spec, self.file, folder)
        return folder


def empty_rows(spec: TableSpec) -> pa.Table:
    """No rows, in the columns of an accepted part."""
    event = [field.with_nullable(True) for field in TABLES[spec.table]]  # noqa: FBT003 - Arrow's signature
    return pa.schema([*event, *ORIGIN]).empty_table().drop_columns("raw")


def _read(path: Path, columns: list[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(columns=columns)


def _load_index(path: Path) -> dict[int, Bucket]:
    return {int(week): Bucket(**bucket) for week, bucket in json.loads(path.read_text()).items()}


@dataclass
class _Stager:
    """Gathers rows by week and writes them out whenever they fill `_FLUSH_BYTES`."""

    folder: Path
    keep_raw: bool
    waiting: dict[tuple[int, str], list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    written: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    rows: Counter[int] = field(default_factory=Counter)
    records: Counter[int] = field(default_factory=Counter)
    size: int = 0
    carry: int = NO_WEEK
    first: int = NO_WEEK

    def add(self, chunk: Chunk, sifted: Sifted) -> None:
        """Put a chunk's rows to their weeks."""
        if sifted.time is None:
            weeks = np.full(len(chunk.faults), NO_WEEK)
            self.records[NO_WEEK] += chunk.records
        else:
            weeks, self.carry = fill_weeks(sifted.time, self.carry)
        for week in np.unique(weeks).tolist():
            here = weeks == week
            self.rows[week] += int(here.sum())
            self.records[week] += int(here.sum()) if sifted.time is not None else 0
            self._put(week, "accepted", sifted.accepted.filter(pa.array(here[~sifted.bad])))
            self._put(week, "refused", sifted.refused.filter(pa.array(here[sifted.bad])))
        known = weeks[weeks != NO_WEEK]
        self.first = int(known[0]) if self.first == NO_WEEK and len(known) else self.first
        if self.size > _FLUSH_BYTES:
            self.flush()

    def _put(self, week: int, kind: str, table: pa.Table) -> None:
        if table.num_rows:
            if kind == "accepted" and not self.keep_raw:
                table = table.set_column(
                    table.schema.get_field_index("raw"),
                    "raw",
                    pa.nulls(table.num_rows, pa.binary()),
                )
            self.waiting[week, kind].append(table)
            self.size += table.get_total_buffer_size()

    def flush(self) -> None:
        """Write what waits, one file for each week and kind."""
        for (week, kind), tables in self.waiting.items():
            names = self.written[week, kind]
            names.append(f"{week}-{kind}-{len(names)}.parquet")
            pq.write_table(pa.concat_tables(tables), self.folder / names[-1], compression="zstd")
            _sync(self.folder / names[-1])
        self.waiting.clear()
        self.size = 0

    def finish(self) -> None:
        """Write the rest and the index; rows before the first known week join it."""
        self.flush()
        index: dict[int, Bucket] = {}
        for week in sorted(self.rows.keys() | self.records.keys()):
            target = self.first if week == NO_WEEK else week
            before = index.get(target, Bucket(rows=0, records=0))
            index[target] = Bucket(
                rows=before.rows + self.rows[week],
                records=before.records + self.records[week],
                accepted=(*before.accepted, *self.written[week, "accepted"]),
                refused=(*before.refused, *self.written[week, "refused"]),
            )
        path = self.folder / "index.json"
        path.write_text(json.dumps({week: asdict(bucket) for week, bucket in index.items()}))
        _sync(path)


def _stage(spec: TableSpec, file: InputFile, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".aside-{uuid.uuid4().hex}"
    aside.mkdir()
    try:
        # Only a table whose ids must be unique can refuse a row later, when other files are known.
        stager = _Stager(aside, keep_raw=spec.table == "tweets")
        for chunk in read_chunks(spec, file):
            stager.add(chunk, sift(spec, file, chunk))
        stager.finish()
        _sync(aside)
        try:
            aside.rename(folder)
        except OSError:
            if not (folder / "index.json").exists():  # else another process staged it first
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
