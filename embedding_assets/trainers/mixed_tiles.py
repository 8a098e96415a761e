"""Exact tiles for the frequent ids, sampled ones for the tail (`negatives="mixed"`): for tables of many rare ids.

At 100,000 words the frequent 15,000 hold 85% of each side's pairs, and the others' own block is 70% of the area with
3% of the mass. The spectral start has placed them; tiles drawn anew each epoch keep them in place.
"""

import numpy as np

from embedding_assets.trainers.exact_tiles import ExactTiles
from embedding_assets.trainers.tile_plans import Plan, mixed_plan
from embedding_assets.trainers.tiles import Tiles
from embedding_assets.trainers.way import Work

#: Ids are frequent that together hold this share of their side's pairs.
HEAD_MASS = 0.85
#: Visits an epoch to a tile of two frequent sides, of one, and of none; the last two are drawn.
VISITS = (3.0, 0.6, 0.1)


class MixedTiles(ExactTiles):
    """The table as tiles on one device, with more visits where more pairs are; a `Way`."""

    def _heads(self, work: Work, size: int) -> tuple[int, int]:
        rows, cols = (work.counts.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
        return frequent_ids(rows, size), frequent_ids(cols, size)

    def _plan_for(self, tiles: Tiles, heads: tuple[int, int]) -> Plan:
        self.metrics["frequent_rows"], self.metrics["frequent_columns"] = map(float, heads)
        return mixed_plan(tiles, heads, VISITS)


def frequent_ids(mass: np.ndarray, size: int) -> int:
    """How many of the heaviest ids hold `HEAD_MASS`, rounded up to a multiple of `size`, at most all."""
    held = np.cumsum(np.sort(mass)[::-1])
    needed = int(np.searchsorted(held, HEAD_MASS * held[-1])) + 1
    return min(-(-needed // size) * size, len(mass))
