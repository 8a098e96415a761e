"""Counts as tiles for a ring of devices: each device has its rows, and all pairs of them.

Sizes: S devices (shards), T ids along a tile's edge, R and C blocks of the rows and columns of one device (padded), N
pairs of one device (padded). What belongs to a device lies together, device after device.
"""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.matrix import dimensions, row_of_each
from embedding_assets.trainers.tiles import CHUNK, TileArrays, Tiles, padded, placed, power_of_two, sorted_by


def lay_out_ring(counts: sp.csr_array, noise: np.ndarray, size: int, shards: int, rng: np.random.Generator) -> Tiles:
    """Deal rows and columns to the devices at random, and sort the pairs by device, then by tile.

    Beside the arrays of `TileArrays`, whose parts are here S times as many: `starts` is (S (S R C + 1),), a device's
    own count from its first pair, by the S devices that its columns began at, row block and column block. `used`
    holds the tiles of one device with the columns of one other, row block * C + column block.

    Args:
        counts: (V_row, V_col) float32 with positive entries.
        noise: (V_col,) float64, negatives times the chance of each column to be drawn.
        size: T.
        shards: S.
        rng: deals.
    """
    shape = dimensions(counts)
    R, C = (power_of_two(-(-n // (shards * size))) for n in shape)  # noqa: N806 - sizes, as the module names them
    row_places, col_places = (dealt(n, shards, blocks * size, rng) for n, blocks in zip(shape, (R, C), strict=True))
    row_shard, row = np.divmod(row_places[row_of_each(counts)], R * size)
    col_shard, col = np.divmod(col_places[counts.indices], C * size)
    tile_of = ((row_shard.astype(np.int64) * shards + col_shard) * R + row // size) * C + col // size
    order, starts = sorted_by(tile_of, shards * shards * R * C)
    mean = counts.data.mean(dtype=np.float64)
    cells = (row % size * size + col % size)[order]
    values = counts.data[order] / mean
    ends = starts[:: shards * R * C]
    room = power_of_two(int(np.diff(ends).max())) + CHUNK
    own = [slice(*span) for span in pairwise(ends)]
    arrays = TileArrays(
        starts=starts_of_each(starts, shards).astype(np.int32),
        cells=np.concatenate([padded(cells[part], room, np.int32) for part in own]),
        counts=np.concatenate([padded(values[part], room, np.float32) for part in own]),
        mass=placed(counts.sum(axis=1, dtype=np.float64) / mean, row_places, shards * R * size),
        noise=placed(noise, col_places, shards * C * size),
    )
    row_blocks, col_blocks = (np.arange(-(-n // (shards * size))) for n in shape)
    used = (row_blocks[:, None] * C + col_blocks).ravel().astype(np.int32)
    return Tiles(size=size, row_places=row_places, col_places=col_places, used=used, mean=float(mean), arrays=arrays)


def dealt(ids: int, shards: int, room: int, rng: np.random.Generator) -> np.ndarray:
    """(ids,) int32 places: at random, one to each device in turn; a device has `room` of them."""
    turn = rng.permutation(ids)
    return (turn % shards * room + turn // shards).astype(np.int32)


def starts_of_each(starts: np.ndarray, shards: int) -> np.ndarray:
    """(S * (M + 1),) starts from (S * M + 1,): each device counts from its own first pair, and sees its own end."""
    tiles = len(starts) // shards
    return np.concatenate([starts[at : at + tiles + 1] - starts[at] for at in range(0, shards * tiles, tiles)])
