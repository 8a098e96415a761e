"""Bags of keys in, vectors out: the weighted sum of a version's rows, as its `composer.json` says.

The paper's second use of an embedding: a new tweet is the weighted mean of its words, so it has a
vector without a retrain. Sizes: N keys, D floats per vector, Q bags, M entries in all bags.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from registry import layout
from registry.compose.bags import Bags, BagsLike
from registry.errors import Corrupt, InvalidQuery, UnknownKey
from registry.logs.documents import Record, load, read_record
from registry.records import Composed, ComposerSpec, FileDigest
from registry.search.scan import Vectors

_KIND = "weighted_bag"


def composer_document(spec: ComposerSpec, dim: int, table: FileDigest) -> Record:
    """What `composer.json` holds: the spec, the width D, and the very table that it belongs to."""
    return {
        "kind": _KIND,
        "spec": asdict(spec),
        "dim": dim,
        "table": {"file": layout.TABLE, "tensor": "vectors"} | asdict(table),
    }


def read_composer(data: bytes, source: str, dim: int, table: FileDigest) -> ComposerSpec:
    """The spec in a `composer.json`; `source` names the file in messages.

    Raises:
        Corrupt: it is no composer, or that of another table.
    """
    record = load(data, source)
    spec = read_record(ComposerSpec, record.get("spec") or {}, source)
    if record != composer_document(spec, dim, table):
        raise Corrupt(f"{source} belongs to the table {record.get('table')}, this version has {asdict(table)}")
    return spec


def key_weights(spec: ComposerSpec, attributes: pa.Table | None) -> np.ndarray | None:
    """(N,) float64, the factor of each key; None where every key counts alike.

    Raises:
        InvalidQuery: the attribute column is missing, or holds what is no weight.
    """
    if spec.weighting == "none":
        return None
    names = attributes.column_names if attributes is not None else []
    if attributes is None or spec.column not in names:
        known = ", ".join(names) or "none"
        raise InvalidQuery(f"weighting {spec.weighting!r} needs the attribute {spec.column!r:.80}; there is {known}")
    values = _numbers(attributes.column(spec.column), spec.column)
    least = 0.0 if spec.weighting == "column" else np.nextafter(0, 1)  # log(total / 0) is infinite
    good = np.isfinite(values) & (values >= least)
    if not good.all():
        row = int(np.argmin(good))
        raise InvalidQuery(f"attribute {spec.column!r:.80} of row {row} is {values[row]}, which is no weight")
    return values if spec.weighting == "column" else np.log(values.sum() / values)


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    try:
        return np.asarray(column.cast(pa.float64()).fill_null(np.nan))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidQuery(f"attribute {name!r:.80} is {column.type}, which is no weight") from error


@dataclass(frozen=True, eq=False)
class FlatBags:
    """Bags as a framework's bag layer takes them.

    Attributes:
        rows: (M,) int64, rows of the table; N, one past its end, stands for the mean of all vectors.
        starts: (Q + 1,) int64; bag q has the entries `starts[q]` up to `starts[q + 1]`.
        weights: (M,) float32; the weighted sum of rows is the bag's vector, but for `normalize`.
        coverage: (Q,) float32, share of the bag's weight whose keys have a vector.
        unknown: the keys without a vector, each once.
    """

    rows: np.ndarray
    starts: np.ndarray
    weights: np.ndarray
    coverage: np.ndarray
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Composer:
    """A spec with its table: makes vectors of bags, with or without a registry.

    Attributes:
        spec: how.
        keys: (N,) string, in row order.
        table: (N, D) float32.
        find: keys to (Q,) int64 rows, -1 for an unknown one.
        factors: (N,) float64, a weight per key; None where all count alike.
        space: coordinate system of the table.
        reference: where the table comes from, such as `word/word@v12`.
    """

    spec: ComposerSpec
    keys: pa.StringArray
    table: np.ndarray
    find: Callable[[pa.StringArray], np.ndarray]
    factors: np.ndarray | None
    space: str
    reference: str

    @cached_property
    def mean(self) -> np.ndarray:
        """(D,) float32, mean of all vectors: what `missing="mean"` gives an unknown key."""
        return Vectors(self.table).mean

    @cached_property
    def unknown_factor(self) -> float:
        """Weight of an unknown key, where it counts at all: the mean weight of the known ones."""
        return 1.0 if self.factors is None else float(self.factors.mean())

    def compose(self, bags: BagsLike, weights: object = None) -> Composed:
        """One vector per bag.

        >>> composer = store["word/word"].composer()                  # doctest: +SKIP
        >>> composer.compose([{"jax": 2.0, "gpu": 1.0}]).coverage      # doctest: +SKIP
        array([1.], dtype=float32)

        Args:
            bags: dicts of key to weight, lists of keys (each of weight 1; a repeat counts twice), or
                an Arrow list column of keys.
            weights: for lists of keys, as many weights in the same shape.

        Raises:
            InvalidQuery: a bag or a weight has no meaning; the message names bag and key.
            UnknownKey: a key has no vector and the spec's `missing` is `raise`.
        """
        flat = self.flatten(bags, weights)
        vectors = self._sum(flat)
        check_finite(vectors)
        return Composed(
            vectors=_unit(vectors) if self.spec.normalize == "l2" else vectors,
            coverage=flat.coverage,
            unknown=flat.unknown,
            space=self.space,
            reference=self.reference,
        )

    def flatten(self, bags: BagsLike, weights: object = None) -> FlatBags:
        """Rows, starts and weights of bags, to feed a bag layer such as `Version.torch_bag`.

        Raises:
            InvalidQuery: a bag or a weight has no meaning; the message names bag and key.
            UnknownKey: a key has no vector and the spec's `missing` is `raise`.
        """
        read = Bags.read(bags, weights)
        rows, unknown = self.locate(read)
        known = rows >= 0
        given, seen = read.sums(read.weights), read.sums(read.weights * known)
        factors = read.weights * self._factors(rows)
        if self.spec.missing == "skip":
            factors *= known
        if self.spec.combine == "mean":
            factors = _share(factors, read.sums(factors)[read.bag_of])
        return _without(
            known | (self.spec.missing == "mean"),
            FlatBags(
                rows=np.where(known, rows, len(self.table)),
                starts=read.starts,
                weights=_as_float32(factors),
                coverage=_as_float32(_share(seen, given)),
                unknown=unknown,
            ),
        )

    def locate(self, bags: Bags) -> tuple[np.ndarray, tuple[str, ...]]:
        """(M,) rows, and the unknown keys that weigh anything; each distinct key is looked up once.

        Raises:
            UnknownKey: a key has no vector and the spec's `missing` is `raise`.
        """
        coded = bags.keys.dictionary_encode()
        codes = np.asarray(coded.indices)
        rows = self.find(coded.dictionary)[codes]
        missed = np.flatnonzero((rows < 0) & (bags.weights > 0))
        if len(missed) and self.spec.missing == "raise":
            at = int(missed[0])
            raise UnknownKey(
                f"bag {bags.bag_of[at]}: key {bags.keys[at].as_py()!r:.80} has no vector in {self.reference}"
                f" ({len(missed)} entries in all); missing='skip', 'zero' or 'mean' goes on without"
            )
        unknown = coded.dictionary.take(pa.array(np.unique(codes[missed]), pa.int64()))
        return rows, tuple(unknown.to_pylist())

    def _factors(self, rows: np.ndarray) -> np.ndarray | float:
        if self.factors is None:
            return 1.0
        return np.where(rows >= 0, self.factors[rows], self.unknown_factor)

    def _sum(self, flat: FlatBags) -> np.ndarray:
        """(Q, D) float32, the weighted sum of rows of each bag."""
        from scipy.sparse import csr_array

        inside = flat.rows < len(self.table)
        known = _without(inside, flat)
        shape = (len(flat.starts) - 1, len(self.table))
        with np.errstate(over="ignore", invalid="ignore"):  # seen and refused by the caller
            vectors = csr_array((known.weights, known.rows, known.starts), shape=shape) @ self.table
            if not inside.all():
                bag_of = np.repeat(np.arange(shape[0]), np.diff(flat.starts))
                vectors += np.outer(np.bincount(bag_of, flat.weights * ~inside, shape[0]), self.mean).astype(np.float32)
        return vectors


def check_finite(vectors: np.ndarray) -> None:
    """Refuse a composed vector that float32 cannot hold; raises InvalidQuery with its bag."""
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidQuery(f"bag {np.argmin(finite)}: its vector is too long for float32; give smaller weights")


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Each vector scaled to length 1; a zero vector stays zero."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0, casting="unsafe")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, and 0 of nothing."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _as_float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite makes a vector that `compose` refuses
        return values.astype(np.float32)


def _without(keep: Any, flat: FlatBags) -> FlatBags:
    """The entries where the (M,) mask is true."""
    if keep.all():
        return flat
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    return FlatBags(
        rows=flat.rows[keep],
        starts=kept_before[flat.starts],
        weights=flat.weights[keep],
        coverage=flat.coverage,
        unknown=flat.unknown,
    )
