"""Which pairs an embedding never sees, so that benchmarks can ask it about them."""

import numpy as np

_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def is_held_out(first: np.ndarray, second: np.ndarray, *, share: float, seed: int = 0) -> np.ndarray:
    """(N,) bool: whether a pair is among the `share` that is held out; (a, b) and (b, a) go together.

    A pair's fate hangs on its two ids and the seed alone, so it is the same in every week, and whatever else is there.

    Args:
        first: (N,) int64 stable ids, as `stable_ids` gives them.
        second: (N,) int64.
        share: in [0, 1).
        seed: another one holds out other pairs.

    Source: the mixing function is SplitMix64 (Steele, Lea and Flood 2014).
    """
    low, high = np.minimum(first, second).astype(np.uint64), np.maximum(first, second).astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = _mix(_mix(low + np.uint64(seed) * _GOLDEN) ^ high)
    return mixed < np.uint64(share * 2**64)


def _mix(values: np.ndarray) -> np.ndarray:
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))
