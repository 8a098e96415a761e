"""Arrays to one mapped file and back: the safetensors format, with the data aligned to a page.

The format (Hugging Face, safetensors 0.4): u64 size of the header, a JSON header padded with
spaces, then the tensors without gaps. Padding the header to a multiple of 4096 bytes puts the first
tensor on a page of its own.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from registry.errors import Corrupt

_PAGE = 4096
_CHUNK = 1 << 26
_CODES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip
_TYPES = {code: np.dtype(name) for name, code in _CODES.items()}


def can_store(array: np.ndarray) -> bool:
    """Whether the format has a code for the array's type."""
    return array.dtype.name in _CODES and array.dtype.isnative


def tensor_chunks(
    first: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, in pieces: `first`, then wide types before narrow ones."""
    names = sorted(arrays, key=lambda name: (name != first, -arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        array = arrays[name]
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % _PAGE)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        if arrays[name].nbytes:
            data = np.ascontiguousarray(arrays[name]).data.cast("B")
            yield from (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))


def map_tensors(path: Path, *, private: bool = False) -> dict[str, np.ndarray]:
    """Read-only views of all tensors of a file; nothing is read before it is used.

    With `private` they may be written: the pages are copied on write, and the file never changes.

    Raises:
        Corrupt: the header does not describe the file.
    """
    return map_tensors_with_metadata(path, private=private)[0]


def map_tensors_with_metadata(path: Path, *, private: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What `map_tensors` gives, and the texts that the file carries beside its tensors.

    Raises:
        Corrupt: the header does not describe the file.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY if private else mmap.ACCESS_READ)
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        metadata = dict(header.pop("__metadata__", None) or {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are not all texts")
        return {name: _view(data, start, entry) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Corrupt(f"{path} is no safetensors file: {error}") from error


def _view(data: mmap.mmap, start: int, entry: dict) -> np.ndarray:
    first, last = entry["data_offsets"]
    dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
    count = int(np.prod(shape, dtype=np.int64))
    if not 0 <= first <= last <= len(data) - start or count * dtype.itemsize != last - first:
        raise ValueError(f"tensor of shape {shape} does not fit bytes {first} to {last}")
    return np.frombuffer(data, dtype, count, start + first).reshape(shape)
