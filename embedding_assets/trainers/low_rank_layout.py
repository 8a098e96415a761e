"""A sparse matrix laid out for the randomized SVD: padded, both ways, and shared out among devices.

Each of S devices has some ids of the longer side with all their entries; the shorter side is not shared out.
"""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from jax.sharding import Mesh

from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.mesh import WHOLE, spread, spread_parts
from embedding_assets.trainers.tiles import Leaf, power_of_two

#: The smallest padded size, and how many parts every padded size can be cut in.
LEAST, PARTS = 64, 8


class Sizes(NamedTuple):
    """All that the compiled steps depend on, beside the devices; the first three are padded.

    Attributes:
        tall: ids of the longer side that one device has.
        short: all ids of the shorter side.
        entries: stored entries that one device has.
        width: W.
        rank: K.
    """

    tall: int
    short: int
    entries: int
    width: int
    rank: int


class Sparse(NamedTuple):
    """A padded CSR matrix; padding rows are empty.

    Attributes:
        values: (N,) float32.
        columns: (N,) int32.
        starts: (rows + 1,) int32.
    """

    values: Leaf
    columns: Leaf
    starts: Leaf


class Scale(NamedTuple):
    """The norm of a matrix, in two factors: either fits float32 where their product may not.

    Attributes:
        largest: magnitude of an entry.
        rest: the norm over that.
    """

    largest: np.float32
    rest: float

    @property
    def norm(self) -> float:
        """||A||, the root of the sum of squares."""
        return float(self.largest) * float(self.rest)


class Layout(NamedTuple):
    """Who has what.

    Attributes:
        sizes: of the arrays.
        parts: ids of the longer side of each device, rising.
    """

    sizes: Sizes
    parts: list[np.ndarray]


def lay_out(matrix: sp.csr_array, width: int, rank: int, shards: int) -> Layout:
    """Who has what of `matrix`; similar tables get the same sizes."""
    shape = dimensions(matrix)
    entries = np.diff(matrix.indptr) if is_tall(matrix) else np.bincount(matrix.indices, minlength=shape[1])
    parts = share_out(entries, shards)
    sizes = Sizes(
        tall=padded(max(len(ids) for ids in parts)),
        short=shards * padded(-(-min(shape) // shards)),
        entries=padded(max(int(entries[ids].sum()) for ids in parts)),
        width=width,
        rank=rank,
    )
    return Layout(sizes, parts)


def share_out(entries: np.ndarray, shards: int) -> list[np.ndarray]:
    """For each of `shards` devices its ids, rising: as many for each, and nearly as many of the (ids,) `entries`.

    From the id with most entries to that with fewest they are dealt to the devices in turn, back and forth.
    """
    if shards == 1:
        return [np.arange(len(entries))]
    turn = np.arange(len(entries)) % (2 * shards)
    owner = np.empty(len(entries), np.intp)
    owner[np.argsort(-entries, kind="stable")] = np.minimum(turn, 2 * shards - 1 - turn)
    return [np.flatnonzero(owner == shard) for shard in range(shards)]


def is_tall(matrix: sp.csr_array) -> bool:
    """Whether rows are the longer side."""
    rows, cols = dimensions(matrix)
    return rows >= cols


def both_ways(matrix: sp.csr_array, scale: Scale, layout: Layout, ring: Mesh) -> tuple[Sparse, Sparse]:
    """The matrix of norm 1 with the longer side as rows, and with the shorter one; padded, on the devices."""
    part = functools.partial(padded_part, matrix, scale, layout)
    tall = is_tall(matrix)
    # the transposed first: what it takes to make it is gone before the other one is made
    transposed = spread_parts(functools.partial(part, longer=not tall), ring)
    upright = spread_parts(functools.partial(part, longer=tall), ring)
    return (upright, transposed) if tall else (transposed, upright)


def padded_part(matrix: sp.csr_array, scale: Scale, layout: Layout, shard: int, *, longer: bool) -> Sparse:
    """What one device has of `matrix`, over its norm.

    Args:
        matrix: the whole.
        scale: its norm.
        layout: who has what.
        shard: the device's place in the ring.
        longer: whether the rows are to be the longer side.
    """
    tall, ids = is_tall(matrix), layout.parts[shard]
    own = matrix
    if len(layout.parts) > 1:
        own = matrix[ids] if tall else matrix[:, ids]
    rows = layout.sizes.tall if longer else layout.sizes.short
    return padded_sparse(own if longer == tall else own.T.tocsr(), scale, rows, layout.sizes.entries)


def placed(columns: np.ndarray, rows: int, ring: Mesh) -> jax.Array:
    """(short, W) float32 `columns` on every device, padded to `rows`."""
    room = aligned_zeros((rows, columns.shape[1]), np.float32)
    room[: len(columns)] = columns
    return spread(room, WHOLE, ring)


def in_order(rows: np.ndarray, layout: Layout) -> np.ndarray:
    """(ids, K) in the order of ids, from (S * tall, K) with the ids of each device together."""
    if len(layout.parts) == 1:
        return rows[: len(layout.parts[0])]
    ordered = np.empty((sum(map(len, layout.parts)), rows.shape[1]), rows.dtype)
    for ids, part in zip(layout.parts, np.split(rows, len(layout.parts)), strict=True):
        ordered[ids] = part[: len(ids)]
    return ordered


def padded(size: int) -> int:
    """At least `size`: a power of two up to 4096, then eight sizes for every doubling.

    >>> padded(700), padded(100_000)
    (1024, 106496)
    """
    whole = power_of_two(max(size, LEAST))
    step = whole if whole <= 4096 else whole // 16
    return -(-size // step) * step


def padded_sparse(matrix: sp.csr_array, scale: Scale, rows: int, entries: int) -> Sparse:
    """`matrix` over its norm, with empty rows and unused entries at the end."""
    sparse = Sparse(*(aligned_zeros((n,), kind) for n, kind in ((entries, "f4"), (entries, "i4"), (rows + 1, "i4"))))
    values = sparse.values[: matrix.nnz]
    np.divide(matrix.data, scale.largest, out=values)
    values /= np.float32(scale.rest)
    sparse.columns[: matrix.nnz] = matrix.indices
    sparse.starts[:] = matrix.nnz
    sparse.starts[: len(matrix.indptr)] = matrix.indptr
    return sparse


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros on a 64-byte boundary: jax then uses the memory as it is on a CPU, and copies any other."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)
