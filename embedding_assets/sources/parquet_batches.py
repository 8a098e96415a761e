"""Opening one Parquet file and reading it in batches, whatever is wrong with it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from embedding_assets.sources.quarantine import MissingColumn, UnreadableFile
from embedding_assets.sources.source_toml import InputFile, TableSpec

_BATCH_ROWS = 65536


@contextmanager
def opened(spec: TableSpec, file: InputFile) -> Iterator[pq.ParquetFile]:
    """The file, for as long as the block lasts.

    Raises:
        UnreadableFile: for whatever Parquet's own reader finds wrong inside the block.
    """
    try:
        # Arrow itself opens only names that are UTF-8.
        with (
            file.path.open("rb") as raw,
            pq.ParquetFile(raw, page_checksum_verification=True) as parquet,
        ):
            yield parquet
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column's name
        raise UnreadableFile(f"{spec.where('path')}: {file.path} cannot be read as Parquet: {error}") from error


def column_names(spec: TableSpec, file: InputFile, parquet: pq.ParquetFile) -> list[str]:
    """The names of its columns, all different.

    Raises:
        MissingColumn: it names one column twice, so that neither can be told from the other.
    """
    names = parquet.schema_arrow.names
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        raise MissingColumn(f"{spec.where(twice[0])}: {file.path} has two columns of this name; rename one")
    return names


def read_batches(
    parquet: pq.ParquetFile, group: int, columns: list[str] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of one row group, each with the number of rows before it."""
    first = 0
    for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
        yield first, _without_views(batch)
        first += batch.num_rows


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Arrow can neither take nor measure views (`string_view`): copy them to plain cells."""
    schema = pa.schema([field.with_type(_plain(field.type)) for field in batch.schema])
    if schema.equals(batch.schema):
        return batch
    columns = [cells.cast(field.type) for cells, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type with its views, however deep, replaced; any other type as it is."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if isinstance(kind, pa.BaseExtensionType):
        storage = _plain(kind.storage_type)
        return kind if storage == kind.storage_type else storage
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type), keys_sorted=kind.keys_sorted)
    parts = [kind.field(index) for index in range(kind.num_fields)]
    return _rebuilt(kind, [part.with_type(_plain(part.type)) for part in parts])


def _rebuilt(kind: pa.DataType, parts: list[pa.Field]) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct(parts)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(parts[0], kind.list_size)
    makers = (
        (pa.types.is_list, pa.list_),
        (pa.types.is_large_list, pa.large_list),
        (pa.types.is_list_view, pa.list_view),
        (pa.types.is_large_list_view, pa.large_list_view),
    )
    return next((make(parts[0]) for is_kind, make in makers if is_kind(kind)), kind)
