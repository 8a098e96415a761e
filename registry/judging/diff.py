"""What changed between two versions: keys that came and went, vectors that moved, neighbours gained and lost.

A retrain turns all axes, so the earlier vectors are first turned onto the later ones over the keys
that both have. Everything goes by blocks of rows: nothing of N x D floats is ever held.

Sizes: N shared keys, D width, Q sampled keys, k neighbours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from registry.errors import InvalidQuery, SpaceMismatch
from registry.judging.align import nearest_rotation, unit_rows
from registry.reader import Version

Alignment = Literal["procrustes"]

_ROW_BLOCK = 1 << 14
_QUERY_BLOCK = 1 << 10


@dataclass(frozen=True, kw_only=True)
class Neighborhoods:
    """Whose neighbours are compared, and how many.

    Attributes:
        sample: Q shared keys, drawn without repeats; None for all of them.
        k: neighbours of each.
        seed: of the draw.

    Raises:
        InvalidQuery: `sample` is negative, or k under 1.
    """

    sample: int | None = 1000
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 0:
            raise InvalidQuery(f"sample is {self.sample}; give a number of keys, or None for all of them")
        if self.k < 1:
            raise InvalidQuery(f"k is {self.k}; it is at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Diff:
    """The change from one version to another; `print` shows it.

    Attributes:
        before: exact reference of the earlier version.
        after: exact reference of the later one.
        align: how the earlier vectors were turned onto the later ones; None: not at all.
        added: keys that only `after` has, in its order.
        gone: keys that only `before` has, in its order.
        movement: (N rows) `key`, `cosine` between its vectors (null where one is zero) and `euclidean`
            distance, both float32; in the order of `after`.
        neighbors: (Q rows) `key`, `kept` in [0, 1], and the lists `gained` and `lost`, nearest first.
        k: neighbours looked at, at most as many as both versions can give.
    """

    before: str
    after: str
    align: Alignment | None
    added: pa.StringArray
    gone: pa.StringArray
    movement: pa.Table
    neighbors: pa.Table
    k: int

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Counts, quantiles of the movement and the mean share of kept neighbours; None where there is none."""
        cosine = self.movement["cosine"].drop_null().to_numpy()
        euclidean = self.movement["euclidean"].to_numpy()
        kept = self.neighbors["kept"].to_numpy()
        return {
            "before": self.before,
            "after": self.after,
            "align": self.align,
            "shared": self.movement.num_rows,
            "added": len(self.added),
            "gone": len(self.gone),
            "cosine_mean": float(cosine.mean(dtype=np.float64)) if len(cosine) else None,
            "cosine_p05": _quantile(cosine, 0.05),
            "cosine_median": _quantile(cosine, 0.5),
            "euclidean_median": _quantile(euclidean, 0.5),
            "euclidean_p95": _quantile(euclidean, 0.95),
            "k": self.k,
            "neighbors_of": len(kept),
            "neighbors_kept": float(kept.mean()) if len(kept) else None,
        }

    def most_moved(self, count: int = 10) -> pa.Table:
        """The rows of `movement` with the smallest cosine, the one that moved most first."""
        return self.movement.sort_by([("cosine", "ascending")]).slice(0, count)

    def __str__(self) -> str:
        facts = [
            f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}"
            for name, value in self.summary.items()
            if value is not None
        ]
        moved = [
            f"  {row['cosine']:.4f}  {row['key']}" for row in self.most_moved().to_pylist() if row["cosine"] is not None
        ]
        return "\n".join([*facts, "moved most:", *moved] if moved else facts)


def diff(before: Version, after: Version, align: Alignment | None, around: Neighborhoods) -> Diff:
    """Compare two versions; see `Store.diff`.

    Raises:
        SpaceMismatch: two spaces and no alignment, two widths, or fewer shared keys than dimensions.
        InvalidQuery: `align` is unknown.
    """
    _check(before, after, align)
    earlier = before.rows(after.keys())  # of each row of `after`, -1 for an added key
    rows = np.flatnonzero(earlier >= 0)
    shared = Pairs(before, after, earlier[rows], rows)
    turn = shared.rotation() if align else None
    keys, found = after.keys(), np.zeros(len(before), bool)
    found[shared.before_rows] = True
    k = min(around.k, len(before) - 1, len(after) - 1)
    return Diff(
        before=before.reference,
        after=after.reference,
        align=align,
        added=keys.take(pa.array(np.flatnonzero(earlier < 0))),
        gone=before.keys().take(pa.array(np.flatnonzero(~found))),
        movement=shared.movement(turn),
        neighbors=_compare_neighbors(before, after, keys.take(pa.array(_sampled(rows, around if k else None))), k),
        k=k,
    )


@dataclass(frozen=True, eq=False)
class Pairs:
    """The N keys that two versions share, as rows of each.

    Attributes:
        before_rows: (N,) int64.
        after_rows: (N,) int64, rising.
    """

    before: Version
    after: Version
    before_rows: np.ndarray
    after_rows: np.ndarray

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Vectors of the same keys in both versions, (B, D) float32 each."""
        for start in range(0, len(self.after_rows), _ROW_BLOCK):
            part = slice(start, start + _ROW_BLOCK)
            yield self.before.numpy()[self.before_rows[part]], self.after.numpy()[self.after_rows[part]]

    def rotation(self) -> np.ndarray:
        """(D, D) float64: what turns `before` onto `after` best. Directions alone count where lengths mean nothing.

        Raises:
            SpaceMismatch: fewer shared keys than dimensions leave the rotation open.
        """
        dim = self.after.dim
        if len(self.after_rows) < dim:
            raise SpaceMismatch(
                f"{self.before.reference} and {self.after.reference} share {len(self.after_rows)} keys;"
                f" to align {dim} dimensions takes at least as many"
            )
        cross = np.zeros((dim, dim))
        shape = unit_rows if self.after.metric == "cosine" else _same
        for source, target in self.blocks():
            cross += (shape(source).T @ shape(target)).astype(np.float64)
        return nearest_rotation(cross)

    def movement(self, turn: np.ndarray | None) -> pa.Table:
        """(N rows) key, cosine and euclidean distance between the turned earlier vector and the later one."""
        cosine = np.empty(len(self.after_rows), np.float32)
        euclidean = np.empty_like(cosine)
        start = 0
        for source, target in self.blocks():
            part = slice(start, start + len(source))
            cosine[part], euclidean[part] = _moved(source if turn is None else source @ turn, target.astype(np.float64))
            start = part.stop
        keys = self.after.keys().take(pa.array(self.after_rows))
        return pa.table({"key": keys, "cosine": pa.array(cosine, mask=np.isnan(cosine)), "euclidean": euclidean})


def _moved(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) cosine, NaN where a vector is zero, and (B,) euclidean distance."""
    lengths = np.linalg.norm(source, axis=1) * np.linalg.norm(target, axis=1)
    dots = np.einsum("bd,bd->b", source, target)
    cosine = np.divide(dots, lengths, out=np.full(len(dots), np.nan), where=lengths > 0)
    return np.clip(cosine, -1, 1), np.linalg.norm(source - target, axis=1)


def _compare_neighbors(before: Version, after: Version, keys: pa.StringArray, k: int) -> pa.Table:
    """What each key's k nearest were and are, each version by its own metric."""
    kept, gained, lost = [], [], []
    for start in range(0, len(keys), _QUERY_BLOCK):
        block = keys.slice(start, _QUERY_BLOCK)
        # Exact: what an index overlooks would count as a neighbour lost.
        then, now = (version.neighbors(block, k, plan="exact").keys for version in (before, after))
        gained += [_without(near, far) for near, far in zip(now, then, strict=True)]
        lost += [_without(far, near) for near, far in zip(now, then, strict=True)]
    kept = [1 - len(names) / k for names in gained]
    names = pa.list_(pa.string())
    columns = [keys, pa.array(kept, pa.float64()), pa.array(gained, names), pa.array(lost, names)]
    return pa.table(columns, names=["key", "kept", "gained", "lost"])


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _sampled(rows: np.ndarray, around: Neighborhoods | None) -> np.ndarray:
    """All rows, or a seeded sample of them, rising; none where no row has a neighbour."""
    if around is None:
        return rows[:0]
    if around.sample is None or len(rows) <= around.sample:
        return rows
    return np.sort(np.random.default_rng(around.seed).choice(rows, size=around.sample, replace=False))


def _check(before: Version, after: Version, align: Alignment | None) -> None:
    if align is not None and align not in get_args(Alignment):
        raise InvalidQuery(f"align is {align!r:.80}; use 'procrustes', or None within one space")
    if before.dim != after.dim:
        raise SpaceMismatch(
            f"{before.reference} has {before.dim} dimensions, {after.reference} {after.dim}; no rotation aligns them"
        )
    if align is None and before.space != after.space:
        raise SpaceMismatch(
            f"{before.reference} lies in space {before.space!r:.60}, {after.reference} in {after.space!r:.60};"
            " their axes have nothing in common: pass align='procrustes'"
        )


def _same(vectors: np.ndarray) -> np.ndarray:
    return vectors


def _quantile(values: np.ndarray, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None
