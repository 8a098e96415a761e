"""Rows of a sparse matrix as equal chunks of slots: few shapes, little padding, every row's vector in one place.

A checked count matrix goes in; out come its pairs by chunk and where each row's vector lies. Rows of similar length
share a chunk, so that a chunk is a dense (rows, w) block; a row longer than a chunk has several of its own. Sizes: S
slots of a chunk, w slots of a row, C chunks, K classes of rows, P places for the vectors of both sides.
"""

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
    """What the compiled program reads to solve one side; `widths` gives the classes.

    Attributes:
        columns: (C, S) int32, place of the other entity of a slot's pair.
        counts: (C, S) float32, count of a slot's pair; 0 for padding.
        long_chunks: (C + 1,) int32, first chunk of each long row, then where the last one ends.
        longs: () int32, number of long rows; they have the side's first places.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Both sides of one table.

    Attributes:
        slots: of both sides that are used, padding within a row or a chunk included.
        total: P, a power of two.
        places: (V_row,) and (V_col,) int64, where each vector lies; all other places stay 0.
        sides: to solve the rows, then the columns; of equal shapes, so that one program serves both.
    """

    slots: int
    total: int
    places: tuple[np.ndarray, np.ndarray]
    sides: tuple[Side, Side]


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


def lay_out(counts: sp.csr_array, largest: int) -> Layout:
    """Both sides of `counts` in chunks of at most `largest` slots, a power of two.

    Args:
        counts: (V_row, V_col) float32 with positive entries.
        largest: the most slots of a chunk.
    """
    size = choose_size(counts.nnz, largest)
    matrices = counts, counts.T.tocsr()
    rows, cols = (_arrange(np.diff(matrix.indptr), size) for matrix in matrices)
    middle = -(-rows.room // BLOCK)
    end = middle + -(-cols.room // BLOCK)
    places = rows.places, cols.places + middle * BLOCK
    shape = power_of_two(max(rows.chunks, cols.chunks, LEAST_CHUNKS)), size
    over, under = np.array([0, middle], np.int32), np.array([middle, end], np.int32)
    return Layout(
        slots=(rows.chunks + cols.chunks) * size,
        total=power_of_two(end) * BLOCK,
        places=places,
        sides=(
            _side(matrices[0], rows, places[1], (over, under), shape),
            _side(matrices[1], cols, places[0], (under, over), shape),
        ),
    )


class _Arranged(NamedTuple):
    """Where the rows of one matrix go; their places are counted from 0.

    Attributes:
        chunks: how many are used.
        room: how many places are used, those that stay empty between the classes included.
        places: (V,) int64.
        slots: (V,) int64, first slot of each row.
        long_chunks: (long rows + 1,) int64, first chunk of each, then where the last one ends.
        class_chunks: (K, 2) int64.
        class_places: (K,) int64.
    """

    chunks: int
    room: int
    places: np.ndarray
    slots: np.ndarray
    long_chunks: np.ndarray
    class_chunks: np.ndarray
    class_places: np.ndarray


def _arrange(lengths: np.ndarray, size: int) -> _Arranged:
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
    return _Arranged(
        chunks=int(chunks.sum()),
        room=int(room.sum()),
        places=places,
        slots=slots,
        long_chunks=long_chunks,
        class_chunks=np.stack([first_chunk, first_chunk + chunks], axis=1)[1:-1],
        class_places=first_place[1:-1],
    )


def _side(
    matrix: sp.csr_array,
    rows: _Arranged,
    others: np.ndarray,
    blocks: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, int],
) -> Side:
    """What solves the rows of (V, V_other) `matrix`.

    Args:
        matrix: whose pairs go to their rows' slots.
        rows: where its rows go.
        others: (V_other,) int64, where the vector of each column lies.
        blocks: `Side.blocks` and `Side.other_blocks`.
        shape: (C, S).
    """
    slots = np.arange(matrix.nnz) + np.repeat(rows.slots - matrix.indptr[:-1], np.diff(matrix.indptr))
    columns, counts = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    columns.ravel()[slots] = others[matrix.indices]
    counts.ravel()[slots] = matrix.data
    long_chunks = np.zeros(shape[0] + 1, np.int32)
    long_chunks[: len(rows.long_chunks)] = rows.long_chunks
    return Side(
        columns=columns,
        counts=counts,
        long_chunks=long_chunks,
        longs=np.asarray(len(rows.long_chunks) - 1, np.int32),
        class_chunks=rows.class_chunks.astype(np.int32),
        class_places=(rows.class_places + blocks[0][0] * BLOCK).astype(np.int32),
        blocks=blocks[0],
        other_blocks=blocks[1],
    )
