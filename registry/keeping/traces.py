"""Where do some keys still stand? A scan of all bytes below a folder, compressed Parquet included.

The registry's own files are erased by `Store.erase`; this looks anywhere: a lake, quarantine,
checkpoints, caches. It knows no formats but Parquet, so a key inside another compressed file, or as a
number in a column of integers, is not seen.
"""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from registry.errors import InvalidQuery
from registry.tables.keys import as_keys


def scan_bytes(root: str | Path, keys: Any) -> list[str]:
    """Sorted paths, relative to `root`, of the files that hold the UTF-8 bytes of any of the keys, or are named so.

    A key that is part of a longer word is found, too: `u1` is in `u12`.

    Args:
        root: a local folder.
        keys: text, at least one, none empty.

    Raises:
        InvalidQuery: there are no keys, or an empty one: it stands everywhere.
    """
    wanted = [key.encode() for key in as_keys(keys).to_pylist()]
    if not all(wanted) or not wanted:
        raise InvalidQuery("give keys that are not empty; an empty one stands everywhere")
    folder = Path(root)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return [
        name
        for path, name in zip(files, names, strict=True)
        if _stands(wanted, name.encode()) or any(_stands(wanted, part) for part in _parts(path))
    ]


def _stands(wanted: Sequence[bytes], data: bytes | mmap.mmap) -> bool:
    return any(data.find(key) >= 0 for key in wanted)


def _parts(path: Path) -> Iterator[bytes | mmap.mmap]:
    if path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    if path.suffix == ".parquet":
        yield from _decoded(path)


def _decoded(path: Path) -> Iterator[bytes]:
    """The buffers of all columns, uncompressed; nothing of a file that is no whole Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for column in batch.columns:
                    yield from _buffers(column.buffers())
    except (pa.ArrowInvalid, OSError):
        return  # torn: what is readable of it was searched as raw bytes


def _buffers(buffers: Iterable[Any]) -> Iterator[bytes]:
    return (buffer.to_pybytes() for buffer in buffers if buffer is not None)
