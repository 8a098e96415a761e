"""Key to row: a hash table that is mapped from disk, not loaded.

`keys.idx`, little-endian, each part aligned to 64 bytes:

    magic 8 | N u64 | size of text u64 | C u64 | S u64 | zeros to 64
    slots   (S,) u64: low half of a key's hash << 32 | its row + 1; 0 is free, as the last one is
    offsets (N + 1,) i32, where the text of row i begins
    text    UTF-8 of all keys in row order

The search for a key begins at slot (high half of its hash) * C >> 32 and ends at a free slot. A key is found by its
hash and confirmed by its text: equal hashes cost time, never a wrong answer.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import Corrupt, InvalidQuery

_MAGIC = b"EKEYIDX2"
_ALIGN = 64
_SPARSE = 2  # slots per key; half of them free keep a search at 1.5 slots on average
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_BLOCK = 1 << 16  # keys looked up together; bounds the temporary arrays
_SCALAR_BELOW = 30  # under so many keys a Python loop beats the set-up of the vectorised path
_START, _STEP = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
_MIX_1, _MIX_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_MASK = (1 << 64) - 1


def text_parts(keys: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(N + 1,) int32 offsets from 0 and (bytes,) uint8 text of an Arrow string array or slice."""
    if not len(keys):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    _, offsets, text = keys.buffers()
    starts = np.frombuffer(offsets, np.int32, len(keys) + 1, keys.offset * 4)
    first, last = int(starts[0]), int(starts[-1])
    whole = np.frombuffer(text, np.uint8) if text is not None else np.empty(0, np.uint8)
    return starts - np.int32(first), whole[first:last]


def hash_keys(keys: pa.StringArray) -> np.ndarray:
    """(N,) uint64; eight bytes of every key at a time, then murmur3's finaliser (Appleby, 2011)."""
    offsets, text = text_parts(keys)
    starts = offsets[:-1].astype(np.int64)
    lengths = np.diff(offsets).astype(np.int64)
    padded = np.concatenate([text, np.zeros(8, np.uint8)])
    # The eight bytes that begin at every byte, as one number; a view, not a copy.
    words = np.lib.stride_tricks.sliding_window_view(padded, 8).view("<u8")[:, 0]
    hashes = lengths.astype(np.uint64) * np.uint64(_START)
    active = np.flatnonzero(lengths > 0)
    done = 0
    while len(active):
        left = np.minimum(lengths[active] - done, 8)
        word = words[starts[active] + done] & (np.uint64(_MASK) >> (8 * (8 - left)).astype(np.uint64))
        state = (hashes[active] ^ word) * np.uint64(_STEP)
        hashes[active] = state ^ (state >> np.uint64(32))
        done += 8
        active = active[lengths[active] > done]
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(_MIX_1)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(_MIX_2)
    return hashes ^ (hashes >> np.uint64(33))


def hash_key(text: bytes) -> int:
    """What `hash_keys` gives for one key, without its set-up."""
    state = len(text) * _START & _MASK
    for at in range(0, len(text), 8):
        state = (state ^ int.from_bytes(text[at : at + 8], "little")) * _STEP & _MASK
        state ^= state >> 32
    state = (state ^ (state >> 33)) * _MIX_1 & _MASK
    state = (state ^ (state >> 33)) * _MIX_2 & _MASK
    return state ^ (state >> 33)


def same_text(left: pa.StringArray, right: pa.StringArray | pa.StringScalar) -> np.ndarray:
    """(N,) bool, where the strings are equal."""
    return np.asarray(pc.call_function("equal", [left, right]))


def index_chunks(keys: pa.StringArray) -> Iterator[bytes | memoryview]:
    """The bytes of `keys.idx`, in pieces."""
    offsets, text = text_parts(keys)
    capacity = _SPARSE * len(keys)
    slots = _fill_slots(hash_keys(keys), capacity)
    header = _MAGIC + np.array([len(keys), len(text), capacity, len(slots)], "<u8").tobytes()
    yield header.ljust(_ALIGN, b"\0")
    for part in (slots, offsets.astype("<i4"), text):
        yield np.ascontiguousarray(part).data.cast("B")
        yield bytes(-part.nbytes % _ALIGN)


def _fill_slots(hashes: np.ndarray, capacity: int) -> np.ndarray:
    """(S,) uint64. In the order of their hashes, each key takes its first slot or the one after the key before."""
    order = np.argsort(hashes, kind="stable")
    hashes, ranks = hashes[order], np.arange(len(hashes))
    at = np.maximum.accumulate(_first_slots(hashes, capacity) - ranks) + ranks
    slots = np.zeros(max(capacity, int(at[-1]) + 1 if len(at) else 0) + 1, "<u8")
    slots[at] = hashes << _HALF | (order + 1).astype(np.uint64)
    return slots


def _first_slots(hashes: np.ndarray, capacity: int) -> np.ndarray:
    """(N,) int64, where the search for each hash begins; rises with the hash."""
    return ((hashes >> _HALF) * np.uint64(capacity) >> _HALF).astype(np.int64)


def as_keys(keys: object) -> pa.StringArray:
    """Keys of a query as Arrow strings; one `str` counts as a list of one.

    Raises:
        InvalidQuery: something in it is not text.
    """
    values: Any = [keys] if isinstance(keys, str) else keys
    try:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        array = values.cast(pa.string()) if isinstance(values, pa.Array) else pa.array(values, pa.string())
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        TypeError,
        UnicodeEncodeError,
    ) as error:
        raise InvalidQuery(f"keys are text, got {values!r:.80}: {error}") from error
    if array.null_count:
        raise InvalidQuery(f"key {array.is_null().index(True).as_py()} of {len(array)} is null; keys are text")
    return array


class KeyIndex:
    """A mapped `keys.idx`.

    Raises:
        Corrupt: the file's parts do not add up to its size.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(data) < _ALIGN or data[:8] != _MAGIC:
            raise Corrupt(f"{path} is not a key index")
        count, text_size, self._capacity, slots = (int(part) for part in np.frombuffer(data, "<u8", 4, 8))
        sizes = [8 * slots, 4 * (count + 1), text_size]
        starts = np.cumsum([_ALIGN, *(size + -size % _ALIGN for size in sizes)], dtype=object).tolist()
        if starts[-1] != len(data) or self._capacity >= slots:
            raise Corrupt(f"{path} has {len(data)} bytes, {count} keys in {slots} slots need {starts[-1]}")
        self._slots = np.frombuffer(data, "<u8", slots, starts[0])
        if self._slots[-1]:
            raise Corrupt(f"{path} has no free slot at its end: a search would run past it")
        offsets = pa.py_buffer(memoryview(data)[starts[1] : starts[1] + sizes[1]])
        text = pa.py_buffer(memoryview(data)[starts[2] : starts[2] + text_size])
        self.keys: pa.StringArray = pa.StringArray.from_buffers(count, offsets, text)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, keys: pa.StringArray) -> np.ndarray:
        """(Q,) int64 row of each key; -1 where it is unknown."""
        if len(keys) < _SCALAR_BELOW:
            return np.array([self._row(key) for key in keys.to_pylist()], np.int64)
        rows = np.full(len(keys), -1, np.int64)
        for start in range(0, len(keys), _BLOCK):
            self._find(keys[start : start + _BLOCK], rows[start : start + _BLOCK])
        return rows

    def _find(self, keys: pa.StringArray, rows: np.ndarray) -> None:
        """Fill in the (B,) rows of the keys that are known; every round looks at one more slot of the others."""
        hashes = hash_keys(keys)
        open_, at = np.arange(len(keys)), _first_slots(hashes, self._capacity)
        while len(open_):
            slots = self._slots[at]
            taken = slots != 0
            slots, open_, at = slots[taken], open_[taken], at[taken] + 1
            same = np.flatnonzero(slots >> _HALF == hashes[open_] & _LOW)
            found = (slots[same] & _LOW).astype(np.int64) - 1
            hit = same_text(self.keys.take(pa.array(found)), keys.take(pa.array(open_[same])))
            rows[open_[same[hit]]] = found[hit]
            left = np.ones(len(open_), bool)
            left[same[hit]] = False
            open_, at = open_[left], at[left]

    def _row(self, key: str) -> int:
        wanted = hash_key(key.encode())
        at = (wanted >> 32) * self._capacity >> 32
        while slot := int(self._slots[at]):
            row = (slot & 0xFFFFFFFF) - 1
            if slot >> 32 == wanted & 0xFFFFFFFF and self.keys[row].as_py() == key:
                return row
            at += 1
        return -1
