"""Which tiles an epoch visits, how often, and with what weight.

A layout goes in; out come, epoch by epoch, the visits in random order. Sizes: T ids along a tile's edge, M visits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedding_assets.trainers.tile_epoch import Visits
from embedding_assets.trainers.tiles import Tiles


class Group(NamedTuple):
    """Tiles that are treated alike.

    Attributes:
        tiles: (n,) int32, ids; where an epoch visits a part of them, in random order.
        visits: how often an epoch visits each; of 0.25, every epoch takes the next quarter of them.
    """

    tiles: np.ndarray
    visits: float


Plan = Sequence[Group]


def exact_plan(tiles: Tiles) -> Plan:
    """Every tile once an epoch."""
    return [Group(tiles.used, 1.0)]


def mixed_plan(
    tiles: Tiles, heads: tuple[int, int], visits: tuple[float, float, float], rng: np.random.Generator
) -> Plan:
    """Frequent ids and the tail apart, by the most frequent `heads` rows and columns that the layout put first.

    Args:
        tiles: laid out with these `heads`.
        heads: how many rows and columns are frequent, multiples of T or all.
        visits: an epoch's, to a tile of two frequent sides, of one, and of none.
        rng: draws which of them come first.
    """
    wide = len(tiles.arrays.noise) // tiles.size
    row, col = np.divmod(tiles.used, wide)
    edges = (-(-head // tiles.size) for head in heads)
    frequent = sum((block < edge).astype(int) for block, edge in zip((row, col), edges, strict=True))
    return [Group(rng.permutation(tiles.used[frequent == 2 - i]), often) for i, often in enumerate(visits)]


def number_of_visits(plan: Plan) -> int:
    """M, the same for every epoch."""
    return sum(len(_whole(group)) + _part(group) for group in plan)


def draw_visits(plan: Plan, epoch: int, rates: np.ndarray, length: int, rng: np.random.Generator) -> Visits:
    """The visits of one epoch, counted from 0, padded to `length`.

    A tile's weight is one over its visits in a usual epoch: the weighted sum of objectives is the table's, on average
    over epochs, whatever one of them leaves out or sees more than once.
    """
    chosen, weights = [], []
    for group in plan:
        visited = np.concatenate([_whole(group), _turn(group, epoch)])
        chosen.append(visited)
        weights.append(np.full(len(visited), len(group.tiles) / max(len(visited), 1), np.float32))
    tiles, weight = np.concatenate(chosen), np.concatenate(weights)
    order = rng.permutation(len(tiles))
    wide = np.pad(tiles[order], (0, length - len(order))).astype(np.int32)
    return Visits(wide, np.pad(weight[order], (0, length - len(order))), np.int32(len(order)), rates)


def _whole(group: Group) -> np.ndarray:
    return np.tile(group.tiles, int(group.visits))


def _turn(group: Group, epoch: int) -> np.ndarray:
    """Whose turn it is for the fraction of a visit: none comes again before all others had theirs."""
    part = _part(group)
    return group.tiles[np.arange(epoch * part, (epoch + 1) * part) % max(len(group.tiles), 1)]


def _part(group: Group) -> int:
    """How many tiles that are; at least one, so none is forgotten."""
    part = group.visits % 1.0
    return max(round(part * len(group.tiles)), 1) if part and len(group.tiles) else 0
