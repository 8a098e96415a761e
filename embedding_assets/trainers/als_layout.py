"""Rows of a sparse matrix as equal chunks of slots: few shapes, little padding, every row's vector in one place.

A checked count matrix goes in; out come its pairs by chunk and where each row's vector lies. Rows of similar length
share a chunk, so that a chunk is a dense (rows, w) block; a row longer than a chunk has several of its own. Where
devices share a table, each has some rows with all their pairs, and some columns with all theirs. Sizes: M devices; of
each device S slots of a chunk, w slots of a row, C chunks, K classes of rows, P places for the vectors of both sides, R
of them for those of one side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.tiles import Leaf, power_of_two

#: A row has at least as many slots; shorter ones are padded.
NARROWEST = 4
#: Small tables have room for so many chunks, so that they all share one program.
LEAST_CHUNKS = 64
#: The places of a side begin and end at a multiple of this.
BLOCK = 512


class Side(NamedTuple):
    """What the compiled program reads to solve one side on one device; `widths` gives the classes.

    Attributes:
        columns: (C, S) int32, place of the other entity of a slot's pair among the M * R of its side.
        counts: (C, S) float32, count of a slot's pair; 0 for padding.
        long_chunks: (C + 1,) int32, first chunk of each long row, then where the last one ends.
        longs: (1,) int32, number of long rows; they have the side's first places.
        class_chunks: (K, 2) int32, first chunk of each class, and where they end.
        class_places: (K,) int32, place of the first row of each class.
        blocks: (2,) int32, first block of the side's places, and where they end.
        other_blocks: (2,) int32, the same of the other side.
    """

    columns: Leaf
    counts: Leaf
    long_chunks: Leaf
    longs: Leaf
    class_chunks: Leaf
    class_places: Leaf
    blocks: Leaf
    other_blocks: Leaf


class Part(NamedTuple):
    """Where the rows of one device go; its places, slots and chunks are counted from 0.

    Attributes:
        ids: (n,) int64, its rows, rising.
        chunks: how many are used.
        room: how many places are used, those that stay empty between the classes included.
        places: (n,) int64.
        slots: (n,) int64, first slot of each row.
        long_chunks: (long rows + 1,) int64, first chunk of each, then where the last one ends.
        class_chunks: (K, 2) int64.
        class_places: (K,) int64.
    """

    ids: np.ndarray
    chunks: int
    room: int
    places: np.ndarray
    slots: np.ndarray
    long_chunks: np.ndarray
    class_chunks: np.ndarray
    class_places: np.ndarray


class Half(NamedTuple):
    """All that lays out one side of a table.

    Attributes:
        matrix: (V, V_other), its rows are the side's.
        parts: one of each device.
        others: (V_other,) int64, where the vector of each column lies among the M * R of the other side.
        blocks: `Side.blocks`.
        other_blocks: `Side.other_blocks`.
    """

    matrix: sp.csr_array
    parts: Sequence[Part]
    others: np.ndarray
    blocks: np.ndarray
    other_blocks: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Both sides of one table; all devices have equal shapes, and both sides, so that one program serves all.

    Attributes:
        slots: of both sides that are used, padding within a row or a chunk included.
        chunks: (C, S).
        total: P, a power of two.
        room: R, a power of two.
        places: (V_row,) and (V_col,) int64, where each vector lies among the M * P; all other places stay 0.
        halves: the rows, then the columns.
    """

    slots: int
    chunks: tuple[int, int]
    total: int
    room: int
    places: tuple[np.ndarray, np.ndarray]
    halves: tuple[Half, Half]

    def side(self, number: int, device: int) -> Side:
        """What solves the rows (0) or columns (1) of a device; made anew, since all together are many."""
        half, (chunks, size) = self.halves[number], self.chunks
        part = half.parts[device]
        matrix = half.matrix if len(half.parts) == 1 else half.matrix[part.ids]
        slots = np.arange(matrix.nnz) + np.repeat(part.slots - matrix.indptr[:-1], np.diff(matrix.indptr))
        columns, counts = np.zeros((chunks, size), np.int32), np.zeros((chunks, size), np.float32)
        columns.ravel()[slots] = half.others[matrix.indices]
        counts.ravel()[slots] = matrix.data
        long_chunks = np.zeros(chunks + 1, np.int32)
        long_chunks[: len(part.long_chunks)] = part.long_chunks
        return Side(
            columns=columns,
            counts=counts,
            long_chunks=long_chunks,
            longs=np.array([len(part.long_chunks) - 1], np.int32),
            class_chunks=part.class_chunks.astype(np.int32),
            class_places=(part.class_places + half.blocks[0] * BLOCK).astype(np.int32),
            blocks=half.blocks,
            other_blocks=half.other_blocks,
        )


def widths(size: int) -> list[int]:
    """Slots of a row in each class, widest first.

    >>> widths(32)
    [32, 16, 8, 4]
    """
    found = [size]
    while found[-1] > NARROWEST:
        found.append(found[-1] // 2)
    return found


def choose_size(pairs: int, largest: int) -> int:
    """S for a table: a small one gets small chunks, since on average half of one stays empty in each class.

    >>> choose_size(20_000, largest=4096)
    512
    """
    return min(largest, max(128, power_of_two(pairs // 64)))


def lay_out(counts: sp.csr_array, largest: int, shards: int = 1) -> Layout:
    """Both sides of `counts` in chunks of at most `largest` slots, a power of two.

    Args:
        counts: (V_row, V_col) float32 with positive entries.
        largest: the most slots of a chunk.
        shards: M.
    """
    size = choose_size(counts.nnz // shards, largest)
    over, under = counts, counts.T.tocsr()
    rows, cols = (shared_out(np.diff(matrix.indptr), size, shards) for matrix in (over, under))
    middle, more = (-(-max(part.room for part in parts) // BLOCK) for parts in (rows, cols))
    total, room = power_of_two(middle + more) * BLOCK, power_of_two(max(middle, more)) * BLOCK
    chunks = [part.chunks for part in (*rows, *cols)]
    first, second = np.array([0, middle], np.int32), np.array([middle, middle + more], np.int32)
    return Layout(
        slots=sum(chunks) * size,
        chunks=(power_of_two(max(*chunks, LEAST_CHUNKS)), size),
        total=total,
        room=room,
        places=(places_of(rows, total), places_of(cols, total) + middle * BLOCK),
        halves=(
            Half(over, rows, places_of(cols, room), first, second),
            Half(under, cols, places_of(rows, room), second, first),
        ),
    )


def shared_out(lengths: np.ndarray, size: int, shards: int) -> list[Part]:
    """Rows of these `lengths`, dealt in turn by falling length: the longest row bounds how many pairs one has more."""
    if shards == 1:
        return [_arrange(np.arange(len(lengths)), lengths, size)]
    order = np.argsort(-lengths, kind="stable")
    return [_arrange(ids, lengths[ids], size) for ids in (np.sort(order[at::shards]) for at in range(shards))]


def places_of(parts: Sequence[Part], each: int) -> np.ndarray:
    """(V,) int64, where each id lies, if one device after the other has `each` places."""
    places = np.empty(sum(len(part.ids) for part in parts), np.int64)
    for device, part in enumerate(parts):
        places[part.ids] = part.places + device * each
    return places


def _arrange(ids: np.ndarray, lengths: np.ndarray, size: int) -> Part:
    """Class 0 holds rows longer than a chunk, 1 to K those of each width, K + 1 those without a pair."""
    wide = np.array(widths(size))
    class_of = len(wide) - np.searchsorted(wide[::-1], lengths)
    class_of[lengths == 0] = len(wide) + 1
    order = np.argsort(class_of.astype(np.uint8), kind="stable")  # numpy sorts 8-bit integers by radix
    members = np.bincount(class_of, minlength=len(wide) + 2)
    long_chunks = np.concatenate([[0], np.cumsum(-(-lengths[order[: members[0]]] // size))])
    chunks = np.concatenate([long_chunks[-1:], -(-members[1:-1] // (size // wide)), [0]])
    room = np.concatenate([members[:1], chunks[1:-1] * (size // wide), members[-1:]])
    first_chunk, first_place = (np.cumsum(part) - part for part in (chunks, room))
    class_of = class_of[order]
    rank = np.arange(len(order)) - (np.cumsum(members) - members)[class_of]
    places, slots = np.empty((2, len(order)), np.int64)
    places[order] = first_place[class_of] + rank
    slots[order] = first_chunk[class_of] * size + rank * np.concatenate([[0], wide, [0]])[class_of]
    slots[order[: members[0]]] = long_chunks[:-1] * size
    return Part(
        ids=ids,
        chunks=int(chunks.sum()),
        room=int(room.sum()),
        places=places,
        slots=slots,
        long_chunks=long_chunks,
        class_chunks=np.stack([first_chunk, first_chunk + chunks], axis=1)[1:-1],
        class_places=first_place[1:-1],
    )
