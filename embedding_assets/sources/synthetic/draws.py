"""Random draws that depend on nothing but the seed, the week and their purpose."""

import zlib
from collections import Counter

import numpy as np
import pyarrow as pa

#: Week index of draws that are the same in every week.
ALWAYS = -1


def generator(seed: int, week_index: int, purpose: str) -> np.random.Generator:
    """A generator of its own for each (seed, week, purpose), so weeks can be read in any order."""
    entropy = [seed, week_index + 1, zlib.crc32(purpose.encode())]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def zipf(count: int, *, exponent: float, shift: float = 1.0) -> np.ndarray:
    """(count,) float64 weights 1 / (rank + shift)^exponent, rank from 0; not normalised."""
    return (np.arange(count) + shift) ** -exponent


class Pools:
    """Weighted items in G groups, drawn from for many groups at once.

    Each group's cumulative weights are scaled to [g, g + 1): one binary search serves all groups.
    """

    def __init__(self, groups: np.ndarray, items: np.ndarray, weights: np.ndarray, size: int) -> None:
        """Collects (M,) `items` with `weights` under their `groups`, integers in [0, size)."""
        order = np.argsort(groups, kind="stable")
        order = order[weights[order] > 0]
        group = groups[order].astype(np.int64)
        self.items = items[order].astype(np.int64)
        self.starts = np.searchsorted(group, np.arange(size + 1))
        running = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
        before, after = running[self.starts[:-1]], running[self.starts[1:]]
        total = np.where(after > before, after - before, 1.0)
        self._keys = group + (running[1:] - before[group]) / total[group]

    def draw(self, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(N,) int64: one item for each of the (N,) groups; -1 where the group is empty or -1."""
        groups = np.asarray(groups, dtype=np.int64)
        found = np.searchsorted(self._keys, groups + rng.random(len(groups)), side="right")
        low, high = self.starts[groups], self.starts[groups + 1] - 1
        known = (groups >= 0) & (low <= high)
        if not len(self.items):
            return np.full(len(groups), -1, dtype=np.int64)
        # Rounding can carry a key just over its group's end.
        position = np.clip(found, low, np.maximum(low, high))
        return np.where(known, self.items[np.minimum(position, len(self.items) - 1)], -1)


def distinct(codes: np.ndarray) -> np.ndarray:
    """Sorted codes, each once; on millions of codes faster than the hashing of `np.unique`."""
    codes = np.sort(codes)
    return codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes


class Choice:
    """Texts in groups, drawn as a column in which not every row has one."""

    def __init__(self, texts: list[str], groups: list[int], size: int) -> None:
        """Texts listed first in their group are drawn more often (Zipf)."""
        self.texts = pa.array(texts, pa.string())
        seen: Counter[int] = Counter()
        ranks = []
        for group in groups:
            ranks.append(seen[group])
            seen[group] += 1
        weights = (np.array(ranks) + 2.0) ** -0.8
        self._pools = Pools(np.array(groups, dtype=np.int64), np.arange(len(texts)), weights, size)

    def column(self, groups: np.ndarray, chance: float | np.ndarray, rng: np.random.Generator) -> pa.StringArray:
        """(N,) text of each row's group with probability `chance`, else null."""
        items = self._pools.draw(groups, rng)
        is_absent = (items < 0) | (rng.random(len(items)) >= chance)
        return self.texts.take(pa.array(items, mask=is_absent))
