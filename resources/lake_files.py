"""Weekly Parquet partitions on disk: what is written, where, and what each was made from. No Dagster here.

A partition is one file, `<root>/<asset>/week=<Monday>/data.parquet`, so DuckDB and pandas read the lake
with a glob. Its lineage lies inside the file (Parquet key-value metadata): one rename publishes both, and
no crash can leave one without the other.
"""

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from registry.logs.documents import dump, read_lineage
from registry.records import Upstream

LINEAGE = b"embedding_assets.lineage"
ROW_GROUP_ROWS = 128 * 1024


class MissingPartition(LookupError):  # noqa: N818 - reads as what it is
    """A partition that was asked for has never been written."""


class ChangedPartition(RuntimeError):  # noqa: N818
    """An input was rewritten while it was being read."""


@dataclass(frozen=True)
class LakeFiles:
    """The lake's folder. Methods take an asset key such as `word/pairs` and a week or None."""

    root: Path

    def path(self, asset: str, partition: str | None) -> Path:
        """Where the partition's file lies.

        Raises:
            ValueError: the asset or partition would lie outside of the lake.
        """
        parts = asset.split("/") + ([f"week={partition}"] if partition else [])
        if any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in parts):
            raise ValueError(f"no lake path for asset {asset!r}, partition {partition!r}")
        return self.root.joinpath(*parts, "data.parquet")

    def write(self, asset: str, table: pa.Table, lineage: Upstream) -> Path:
        """Replace the partition `lineage` speaks of by `table`, atomically."""
        target = self.path(asset, lineage.partition)
        stamped = table.replace_schema_metadata({**(table.schema.metadata or {}), LINEAGE: dump({"lineage": lineage})})
        with _published(target) as temporary:
            pq.write_table(stamped, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        return target

    def exists(self, asset: str, partition: str | None) -> bool:
        """Whether the partition has been written."""
        return self.path(asset, partition).is_file()

    def partitions(self, asset: str) -> list[str]:
        """Weeks of `asset` that have been written, oldest first."""
        folder = self.path(asset, None).parent
        found = folder.glob("week=*/data.parquet")
        return sorted(file.parent.name.removeprefix("week=") for file in found)

    def rows(self, asset: str, partition: str | None) -> int:
        """Number of rows, from the file's footer alone."""
        return pq.read_metadata(self._existing(asset, partition)).num_rows

    def read(self, asset: str, partition: str | None) -> pa.Table:
        """The partition as one table, without our metadata."""
        table = pq.ParquetFile(self._existing(asset, partition)).read()
        return table.replace_schema_metadata(None)

    def dataset(self, asset: str, partition: str | None) -> ds.Dataset:
        """The partition as a dataset that is read when it is used."""
        return ds.dataset(self._existing(asset, partition))

    def lineage(self, asset: str, partition: str | None) -> Upstream:
        """What the partition is and what it was made from, down to raw partitions."""
        path = self._existing(asset, partition)
        found = read_lineage((pq.read_schema(path).metadata or {}).get(LINEAGE, b"{}"), str(path))
        if found is None:
            raise MissingPartition(f"{path} carries no lineage: it was not written by this lake")
        return found

    def _existing(self, asset: str, partition: str | None) -> Path:
        path = self.path(asset, partition)
        if not path.is_file():
            have = self.partitions(asset)
            known = f"it has {have[0]} to {have[-1]} ({len(have)} weeks)" if have else "it has none"
            raise MissingPartition(f"{asset} has no partition {partition}; {known}. Materialise it first.")
        return path


@contextmanager
def _published(target: Path) -> Iterator[Path]:
    """A sibling to write into; it takes the target's place, durably, when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


class _HashSink(io.RawIOBase):
    """A file that only keeps the sha256 of what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # pyright: ignore[reportArgumentType] - pyarrow hands over buffers
        self.sha256.update(view)
        return view.nbytes


def content_hash(table: pa.Table) -> str:
    """First 16 hex digits of the sha256 of the rows and their schema; chunking does not matter."""
    sink = _HashSink()
    plain = table.replace_schema_metadata(None).combine_chunks()
    if any(column.null_count or pa.types.is_nested(column.type) for column in plain.columns):
        plain = plain.take(np.arange(plain.num_rows))  # what lies under a null is anybody's guess
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), plain.schema) as stream:
        stream.write_table(plain, max_chunksize=ROW_GROUP_ROWS)
    return sink.sha256.hexdigest()[:16]
