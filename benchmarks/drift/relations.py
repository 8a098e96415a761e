"""Whose relations changed between two versions, beyond what a second training of the same data would change.

Neighbours need no alignment, since each version answers for itself; for the movement the earlier space is turned
onto the later one. Both come with a floor: the same numbers between two trainings of one week that differ only in
their seed. Versions are looked at through their first rows, which are their most frequent keys.

Sizes: N shared keys, D width, k neighbours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.neighborhoods import Shared, kept_share, nearest, points_one_way, positions, share
from benchmarks.task import Undefined
from registry.judging.align import rotate_onto, unit_rows
from registry.reader import Version

#: Keys (string) and their vectors (float32), row by row.
Table = tuple[pa.Array, np.ndarray]

#: One row a key: what a second seed leaves of its k nearest keys, how far it turns, and the standard deviation that
#: it gives to the similarity with one of them.
NOISE = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("kept", pa.float64(), nullable=False),
        pa.field("cosine", pa.float64()),
        pa.field("similarity_noise", pa.float64(), nullable=False),
    ]
)

#: One row a key, the one whose relations changed most first. `change` is `floor_kept - kept`: the share of the
#: neighbours that is gone, less what noise takes; `cosine` with its earlier self, null where widths differ.
CHANGES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("change", pa.float64(), nullable=False),
        pa.field("kept", pa.float64(), nullable=False),
        pa.field("floor_kept", pa.float64(), nullable=False),
        pa.field("cosine", pa.float64()),
        pa.field("floor_cosine", pa.float64()),
        pa.field("beyond_noise", pa.bool_()),
        pa.field("lost", pa.list_(pa.string()), nullable=False),
        pa.field("gained", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Looking:
    """How closely versions are compared.

    Attributes:
        k: neighbours of each key.
        frequent: how many of a version's first keys are looked at; rare ones change in every training.
        named: how many lost and gained neighbours are named.
        noise_quantile: a key changed beyond noise where it kept less than all but this share of keys keep under
            another seed.
    """

    k: int = 25
    frequent: int = 2_000
    named: int = 5
    noise_quantile: float = 0.01

    def __post_init__(self) -> None:
        if min(self.k, self.frequent, self.named) < 1:
            raise ValueError(f"Looking's k, frequent and named must be at least 1, got {self}")
        if not 0 <= self.noise_quantile <= 1:
            raise ValueError(f"Looking.noise_quantile must lie in [0, 1], got {self.noise_quantile}")

    def head(self, version: Version) -> Table:
        """The most frequent keys of a version; a spec's versions are ordered by falling count."""
        return version.keys().slice(0, self.frequent), version.numpy()[: self.frequent]


def seed_noise(first: Table, second: Table, looking: Looking) -> pa.Table:
    """What differs between two trainings of the same data, in the schema `NOISE`.

    Args:
        first: of one seed, most frequent keys first.
        second: of another.
        looking: as the changes will be looked at.

    Raises:
        Undefined: they share too few keys, or point one way.
    """
    size = looking.frequent
    shared = share((first[0].slice(0, size), first[1][:size]), (second[0].slice(0, size), second[1][:size]))
    before, now = _neighbors(shared, looking.k)
    earlier, later = (np.einsum("nd,nkd->nk", unit, unit[before]) for unit in (shared.before, shared.now))
    columns = {
        "key": shared.keys,
        "kept": kept_share(before, now),
        "cosine": _movement(shared),
        # Each of the two has its own noise: the variance of their difference is twice that of one.
        "similarity_noise": np.sqrt(((earlier - later) ** 2).mean(axis=1, dtype=np.float64) / 2),
    }
    return pa.table(columns).cast(NOISE)


def changed(before: Version, now: Version, noise: pa.Table | None, looking: Looking) -> pa.Table:
    """Every frequent key that both versions have, in the schema `CHANGES`, the most changed first.

    Args:
        before: the earlier version.
        now: the later one; of whatever width.
        noise: as `seed_noise` made it; a key that it does not have gets its median. None: the floor is 1, and nothing
            is said to be beyond noise.
        looking: how closely.

    Raises:
        Undefined: they share too few keys, or the vectors of one all point the same way.
    """
    shared = share(looking.head(before), looking.head(now))
    then_near, now_near = _neighbors(shared, looking.k)
    kept, cosine = kept_share(then_near, now_near), _movement(shared)
    floor_kept, floor_cosine = _floors(shared.keys, noise)
    change = floor_kept - kept
    still = np.nan_to_num(cosine, nan=0.0)
    order = np.lexsort((np.arange(len(shared)), still, -change))
    least = np.quantile(noise["kept"].to_numpy(), looking.noise_quantile) if noise is not None else None
    names: list[str] = shared.keys.to_pylist()
    columns = {
        "key": shared.keys.take(pa.array(order)),
        "change": change[order],
        "kept": kept[order],
        "floor_kept": floor_kept[order],
        "cosine": _nullable(cosine[order]),
        "floor_cosine": _nullable(floor_cosine[order]),
        "beyond_noise": pa.nulls(len(order), pa.bool_()) if least is None else pa.array(kept[order] < least),
        "lost": [_missing(then_near[at], now_near[at], names, looking.named) for at in order],
        "gained": [_missing(now_near[at], then_near[at], names, looking.named) for at in order],
    }
    return pa.table(columns).cast(CHANGES)


def similarities(versions: Mapping[str, Version], pairs: Iterable[tuple[str, str]]) -> pa.Table:
    """Cosine of each pair of keys in each version: `week`, `first`, `second`, `cosine`, null where one is unknown.

    Args:
        versions: week -> version; each answers in its own space, so they may differ in width.
        pairs: of keys.
    """
    wanted = list(pairs)
    rows = []
    for week, version in sorted(versions.items()):
        for first, second in wanted:
            vectors, found = version.lookup([first, second], missing="mask")
            unit = unit_rows(vectors)
            known = bool(found.all() and unit.any(axis=1).all())
            rows.append((week, first, second, float(unit[0] @ unit[1]) if known else None))
    names = ("week", "first", "second", "cosine")
    types = (pa.string(), pa.string(), pa.string(), pa.float64())
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table([pa.array(column, type=kind) for column, kind in zip(columns, types, strict=True)], names=names)


def telling_pairs(changes: pa.Table, count: int) -> list[tuple[str, str]]:
    """The most changed keys, each with the nearest neighbour that it lost and the nearest that it gained."""
    pairs = []
    for row in changes.slice(0, count).to_pylist():
        pairs += [(row["key"], near) for near in (*row["lost"][:1], *row["gained"][:1])]
    return pairs


def pair_noise(noise: pa.Table | None, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
    """Standard deviation that the seed alone gives to the similarity of each pair; None where it is not known."""
    if noise is None:
        return [None] * len(pairs)
    known = dict(zip(noise["key"].to_pylist(), noise["similarity_noise"].to_pylist(), strict=True))
    return [_root_mean_square([known[key] for key in pair if key in known]) for pair in pairs]


def _root_mean_square(values: Sequence[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if values else None


def _neighbors(shared: Shared, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, k) nearest rows among the shared keys, before and now."""
    if len(shared) < k + 2:
        raise Undefined(f"needs at least {k + 2} frequent keys that both versions have, there are {len(shared)}")
    if points_one_way(shared.before) or points_one_way(shared.now):
        raise Undefined(f"the vectors of all {len(shared)} shared keys point the same way")
    rows = np.arange(len(shared))
    return nearest(shared.before, rows, k), nearest(shared.now, rows, k)


def _movement(shared: Shared) -> np.ndarray:
    """(N,) float64 cosine of a key with its turned earlier self; NaN where no rotation can be found."""
    dims = shared.before.shape[1], shared.now.shape[1]
    if dims[0] != dims[1] or len(shared) < dims[1]:
        return np.full(len(shared), np.nan)
    turned = shared.before @ rotate_onto(shared.before, shared.now)
    return np.einsum("nd,nd->n", turned, shared.now).astype(np.float64)


def _floors(keys: pa.Array, noise: pa.Table | None) -> tuple[np.ndarray, np.ndarray]:
    """(N,) kept and (N,) cosine under another seed; the median for keys that were not measured."""
    if noise is None:
        return np.ones(len(keys)), np.full(len(keys), np.nan)
    rows = positions(keys, noise["key"].combine_chunks())
    floors = (noise[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("kept", "cosine"))
    kept, cosine = (np.where(rows >= 0, floor[rows], np.median(floor)) for floor in floors)
    return kept, cosine


def _missing(near: np.ndarray, others: np.ndarray, names: list[str], count: int) -> list[str]:
    known = set(others.tolist())
    return [names[row] for row in near.tolist() if row not in known][:count]


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
