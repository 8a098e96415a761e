"""Exact tiles for the frequent ids, a part of the others each epoch (`negatives="mixed"`): for tables of many rare ids.

Of 38,000 words 11,000 have 200 pairs or more, 93% of each side's; the others' own block is half of the area with 1% of
the mass. The spectral start has placed them; tiles that take turns keep them in place.
"""

import math
from typing import NamedTuple

import numpy as np

from embedding_assets.trainers.exact_tiles import ExactTiles
from embedding_assets.trainers.tile_plans import Plan, mixed_plan
from embedding_assets.trainers.tiles import Tiles
from embedding_assets.trainers.way import Work


class Rule(NamedTuple):
    """How tables up to some size are gone through.

    Attributes:
        most_cells: V_row V_col up to which it holds.
        enough: an id with so many pairs is frequent.
        visits: an epoch's, to a tile of two frequent sides, of one, and of none.
    """

    most_cells: float
    enough: float
    visits: tuple[float, float, float]


#: What two epochs need to be as good as word2vec's five at 16,000 ids a side, its four at 38,000, its two at 100,000.
RULES = (
    Rule(1 << 29, 200.0, (1.5, 0.6, 0.15)),
    Rule(1 << 32, 200.0, (2.0, 1.0, 0.5)),
    Rule(math.inf, 500.0, (3.0, 0.6, 0.1)),
)
#: Where few ids have so many pairs, those are frequent that together hold this share of their side's.
FREQUENT_MASS = 0.8


class MixedTiles(ExactTiles):
    """The table as tiles on one device, with more visits where more pairs are; a `Way`."""

    def _heads(self, work: Work, size: int) -> tuple[int, int]:
        rows, cols = (work.counts.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
        enough = rule_for(len(rows) * len(cols)).enough
        return frequent_ids(rows, size, enough), frequent_ids(cols, size, enough)

    def _plan_for(self, tiles: Tiles, heads: tuple[int, int], rng: np.random.Generator) -> Plan:
        self.metrics["frequent_rows"], self.metrics["frequent_columns"] = map(float, heads)
        cells = len(tiles.row_places) * len(tiles.col_places)
        return mixed_plan(tiles, heads, rule_for(cells).visits, rng)


def rule_for(cells: int) -> Rule:
    """Of `RULES`, by V_row V_col."""
    return next(rule for rule in RULES if cells <= rule.most_cells)


def frequent_ids(mass: np.ndarray, size: int, enough: float) -> int:
    """How many of the heaviest ids are frequent, rounded up to a multiple of `size`, at most all.

    Args:
        mass: (V,) float64, pairs of each id.
        size: T.
        enough: with so many an id is frequent in any case.
    """
    held = np.cumsum(np.sort(mass)[::-1])
    needed = int(np.searchsorted(held, FREQUENT_MASS * held[-1])) + 1
    frequent = max(needed, int(np.count_nonzero(mass >= enough)))
    return min(-(-frequent // size) * size, len(mass))
