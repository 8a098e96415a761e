"""Counts as a grid of square tiles that all have about the same number of pairs.

A checked count matrix goes in; out come the pairs sorted by tile, and for each side where every id
went. Sizes: T ids along a tile's edge, R and C blocks of rows and columns (padded), N pairs.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.matrix import dimensions, row_of_each

#: Pairs are written into a tile this many at a time; the pair arrays end with as much padding.
CHUNK = 8192


#: An array on the host, on a device, traced, or only its shape: jax takes one tree for all four.
Leaf = Any


class TileArrays(NamedTuple):
    """What the compiled program reads; every size is a power of two, so that few shapes exist.

    Attributes:
        starts: (R * C + 1,) int32, where each tile's pairs begin.
        cells: (N padded,) int32, place of a pair in its tile, row * T + column.
        counts: (N padded,) float32, mean 1 over the real pairs.
        mass: (R * T,) float32, sum of a row's counts; 0 for padding.
        noise: (C * T,) float32, negatives times the chance to be drawn; 0 for padding.
    """

    starts: Leaf
    cells: Leaf
    counts: Leaf
    mass: Leaf
    noise: Leaf


@dataclass(frozen=True, kw_only=True, eq=False)
class Tiles:
    """The layout of one table.

    Attributes:
        size: T, ids along a tile's edge.
        row_places: (V_row,) int32, where row i lies among the R * T.
        col_places: (V_col,) int32, the same for columns.
        used: (M,) int32, ids of the tiles that hold at least one row and one column.
        mean: of the counts, which are divided by it.
        arrays: what the compiled program reads.
    """

    size: int
    row_places: np.ndarray
    col_places: np.ndarray
    used: np.ndarray
    mean: float
    arrays: TileArrays


def choose_tile(shape: tuple[int, int], largest: int) -> int:
    """T for a (V_row, V_col) table: a power of two that gives an id some 8 to 16 updates an epoch.

    >>> choose_tile((2000, 2000), largest=512)
    128
    """
    rows, cols = shape
    edge = 8
    while edge < largest and edge * 16 < math.sqrt(rows * cols):
        edge *= 2
    return edge


def power_of_two(at_least: int) -> int:
    """The smallest power of two that is not below `at_least`.

    >>> power_of_two(5)
    8
    """
    return 1 << max(at_least - 1, 0).bit_length()


def lay_out(
    counts: sp.csr_array, noise: np.ndarray, size: int, rng: np.random.Generator, heads: tuple[int, int] = (0, 0)
) -> Tiles:
    """Sort the pairs of `counts` by tile after placing the ids at random, the frequent ones before the others.

    Frequent ids are neighbours in a vocabulary; in random places every tile gets its share of them.

    Args:
        counts: (V_row, V_col) float32 with positive entries.
        noise: (V_col,) float64, negatives times the chance of each column to be drawn.
        size: T.
        rng: draws the places.
        heads: how many of the most frequent rows and columns come first; multiples of T, or all.
    """
    shape = dimensions(counts)
    mass = counts.sum(axis=1, dtype=np.float64)
    row_places = _places(mass, heads[0], rng)
    col_places = _places(noise, heads[1], rng)
    row_blocks, col_blocks = (power_of_two(-(-n // size)) for n in shape)
    rows = row_places[row_of_each(counts)]
    cols = col_places[counts.indices]
    tile_of = (rows // size) * col_blocks + cols // size
    order, starts = sorted_by(tile_of, row_blocks * col_blocks)
    mean = counts.data.mean(dtype=np.float64)
    room = power_of_two(counts.nnz) + CHUNK
    arrays = TileArrays(
        starts=starts.astype(np.int32),
        cells=padded((rows % size * size + cols % size)[order], room, np.int32),
        counts=padded(counts.data[order] / mean, room, np.float32),
        mass=placed(mass / mean, row_places, row_blocks * size),
        noise=placed(noise, col_places, col_blocks * size),
    )
    return Tiles(
        size=size,
        row_places=row_places,
        col_places=col_places,
        used=_used_tiles(shape, size, col_blocks),
        mean=float(mean),
        arrays=arrays,
    )


def sorted_by(tile_of: np.ndarray, tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) order that puts the pairs of each of the `tiles` beside each other, and (tiles + 1,) where each begins."""
    # numpy sorts 16-bit integers by radix: a tenth of the time on a million pairs
    narrow = tile_of.astype(np.uint16) if tiles <= 1 << 16 else tile_of
    ends = np.cumsum(np.bincount(tile_of, minlength=tiles))
    return np.argsort(narrow, kind="stable"), np.concatenate([[0], ends])


def _places(weights: np.ndarray, head: int, rng: np.random.Generator) -> np.ndarray:
    """(V,) int32, at random the first `head` places for the heaviest ids and the rest for the others."""
    ids = np.argsort(-weights, kind="stable")
    places = np.empty(len(ids), np.int32)
    places[ids[:head]] = rng.permutation(head)
    places[ids[head:]] = head + rng.permutation(len(ids) - head)
    return places


def _used_tiles(shape: tuple[int, int], size: int, col_blocks: int) -> np.ndarray:
    row_block, col_block = (np.arange(-(-n // size)) for n in shape)
    return (row_block[:, None] * col_blocks + col_block).ravel().astype(np.int32)


def padded(values: np.ndarray, length: int, dtype: type) -> np.ndarray:
    """(length,) of `dtype`, 0 after the `values`."""
    wide = np.zeros(length, dtype)
    wide[: len(values)] = values
    return wide


def placed(values: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """(length,) float32 with the `values` at their `places`, 0 elsewhere."""
    placed = np.zeros(length, np.float32)
    placed[places] = values
    return placed
