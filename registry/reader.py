"""One published version: vectors, keys, neighbours, lineage, scores; files open when first used."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa

from registry import layout
from registry.documents import read_lineage
from registry.errors import Corrupt, InvalidQuery, UnknownKey
from registry.files import VersionFiles
from registry.forest import Forest
from registry.keys import KeyIndex, as_keys
from registry.neighbors import Plan, Query, choose_search_k, search
from registry.parquet import as_table, read_attributes
from registry.records import Manifest, Metric, Neighbors, Score, Upstream, Verification, VersionInfo
from registry.scan import Vectors
from registry.tensors import map_tensors

Missing = Literal["raise", "zero", "mean", "mask"]
Keys = str | Sequence[str] | np.ndarray | pa.Array | pa.ChunkedArray


class Version:
    """An immutable embedding table; get one from a `Store`.

    >>> words = open_registry("data/registry")["word/word@latest"]   # doctest: +SKIP
    >>> words.lookup(["jax", "gpu"]).shape                           # doctest: +SKIP
    (2, 64)

    Sizes: N keys, D floats per vector, Q queries.
    """

    def __init__(self, info: VersionInfo, files: VersionFiles, scores: Callable[[], list[Score]]) -> None:
        self.info = info
        self._files = files
        self._scores = scores

    @property
    def reference(self) -> str:
        """The exact reference, such as `word/word@v12`."""
        return self.info.reference

    @property
    def entity(self) -> str:
        """Entity type of the keys, such as `word`."""
        return self.info.entity

    @property
    def name(self) -> str:
        """Name of the embedding, unique within its entity."""
        return self.info.name

    @property
    def number(self) -> int:
        """N of `@vN`: 1, 2, 3, ... in the order of publishing."""
        return self.info.number

    @property
    def week(self) -> str | None:
        """Monday of the newest data week inside, `YYYY-MM-DD`."""
        return self.info.week

    @property
    def dim(self) -> int:
        """D, floats per vector."""
        return self.info.dim

    @property
    def metric(self) -> Metric:
        """How two vectors are meant to be compared."""
        return self.info.metric

    @property
    def space(self) -> str:
        """Id of the coordinate system; vectors of two spaces must not be compared."""
        return self.info.space

    @property
    def manifest(self) -> Manifest:
        """Everything that the version says about itself: trainer, training, window, checksums."""
        return self._files.manifest

    def __len__(self) -> int:
        return self.info.count

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._index.rows(as_keys(key))[0] >= 0)

    def keys(self) -> pa.StringArray:
        """(N,) string, in row order; not copied."""
        return self._index.keys

    def numpy(self) -> np.ndarray:
        """(N, D) float32, read-only and mapped: only the rows that are used are read."""
        return self._tensors["vectors"]

    def extra(self, name: str) -> np.ndarray:
        """A further array published with the vectors, such as `context`; read-only and mapped.

        Raises:
            UnknownKey: there is no array of that name.
        """
        known = self._tensors.keys() - {"vectors"}
        if name not in known:
            raise UnknownKey(f"{self.reference} has no extra array {name!r:.80}; it has {_listed(known)}")
        return self._tensors[name]

    def table(self) -> pa.Table:
        """N rows of `key`, `vector` (FixedSizeList<float32>, D long) and the attributes."""
        attributes = self.attributes().drop_columns(["key"]) if self.manifest.attributes else None
        return as_table(self.keys(), self.numpy(), attributes)

    def attributes(self) -> pa.Table:
        """N rows of `key` and whatever the publisher recorded per key, such as `count`."""
        names = list(self.manifest.attributes)
        if not names:
            return pa.table({"key": self.keys()})
        table = read_attributes(self._files.open(layout.VECTORS), names)
        if table.num_rows != len(self):
            raise Corrupt(f"{self.reference}: {layout.VECTORS} has {table.num_rows} rows, not {len(self)}")
        return table

    @overload
    def lookup(self, keys: Keys, missing: Literal["raise", "zero", "mean"] = "raise") -> np.ndarray: ...
    @overload
    def lookup(self, keys: Keys, missing: Literal["mask"]) -> tuple[np.ndarray, np.ndarray]: ...
    def lookup(self, keys: Keys, missing: Missing = "raise") -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """(Q, D) float32, one vector per key, in their order; one `str` counts as one key.

        Args:
            keys: Q of them; repeats are allowed.
            missing: what an unknown key gives: `raise` an error, a `zero` vector, the `mean` of all
                vectors, or, with `mask`, a zero vector and (Q,) bool `found` as a second result.

        Raises:
            UnknownKey: a key has no vector and `missing` is `raise`.
            InvalidQuery: a key is not text, or `missing` is none of the four.
        """
        if missing not in ("raise", "zero", "mean", "mask"):
            raise InvalidQuery(f"missing is {missing!r:.80}; use 'raise', 'zero', 'mean' or 'mask'")
        wanted = as_keys(keys)
        rows = self._known_rows(wanted) if missing == "raise" else self._index.rows(wanted)
        found = rows >= 0
        vectors = self.numpy()[rows]  # row -1 of an unknown key is overwritten below
        if not found.all():
            vectors[~found] = self._mean if missing == "mean" else 0
        return (vectors, found) if missing == "mask" else vectors

    def neighbors(
        self,
        queries: Keys,
        k: int = 10,
        *,
        metric: Metric | None = None,
        exclude_self: bool = True,
        recall: float | None = None,
        plan: Plan = "auto",
    ) -> Neighbors:
        """The k nearest keys of each query, best first.

        Args:
            queries: a key, several keys, one vector (D,), or vectors (Q, D).
            k: how many, at most N (N - 1 where the query's own key is left out).
            metric: `dot`, `cosine` or `euclidean`; None is the version's own.
            exclude_self: leave the query's own key out of its answer; vectors have none.
            recall: share of the true neighbours to find, in (0, 1]; None means 0.95 or better.
            plan: `auto` takes the cheaper of an exact scan and Annoy; the answer says which.

        Raises:
            UnknownKey: a query key has no vector.
            InvalidQuery: NaN, a wrong width, k out of range, an unknown metric.
        """
        vectors, rows = self._query_vectors(queries)
        query = Query(
            vectors=vectors,
            exclude=rows if exclude_self else np.full(len(rows), -1, np.int64),
            k=k,
            metric=self.metric if metric is None else metric,
            recall=recall,
            plan=plan,
        )
        query.check(len(self), self.dim)
        search_k = choose_search_k(query, len(self), self.metric, self.manifest.index)
        found, scores, used = search(query, self._vectors, search_k, lambda: self._forest)
        keys = self.keys().take(pa.array(found.reshape(-1))).to_pylist()
        return Neighbors(keys=[keys[at : at + k] for at in range(0, len(keys), k)], scores=scores, plan=used)

    def lineage(self) -> Upstream | None:
        """What the version was made from, down to raw partitions; None if not recorded."""
        return read_lineage(self._files.read(layout.LINEAGE), f"{self.reference} {layout.LINEAGE}")

    def scores(self) -> list[Score]:
        """The newest result of every task and metric, as recorded so far."""
        return self._scores()

    def verify(self) -> Verification:
        """Hash every file again, whether or not it was verified before."""
        found = list(self._files.verify())
        return Verification(
            versions=1,
            scores=0,
            files=len(found),
            bytes=sum(size for _, size, _ in found),
            problems=tuple(problem for _, _, problem in found if problem),
        )

    def __repr__(self) -> str:
        week = f" week {self.week}" if self.week else ""
        return f"<Version {self.reference}{week}: {len(self):,} x {self.dim}, {self.metric}>"

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = map_tensors(self._files.open(layout.TABLE))
        vectors = tensors.get("vectors")
        if vectors is None or vectors.shape != (len(self), self.dim) or vectors.dtype != np.float32:
            found = "no vectors" if vectors is None else f"{vectors.dtype} vectors of shape {vectors.shape}"
            raise Corrupt(
                f"{self.reference}: {layout.TABLE} holds {found}, the manifest says float32 {(len(self), self.dim)}"
            )
        return tensors

    @cached_property
    def _index(self) -> KeyIndex:
        index = KeyIndex(self._files.open(layout.KEYS))
        if len(index) != len(self):
            raise Corrupt(f"{self.reference}: {layout.KEYS} holds {len(index)} keys, the manifest says {len(self)}")
        return index

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors(self.numpy())

    @cached_property
    def _forest(self) -> Forest:
        return Forest(self._files.open(layout.INDEX), self._vectors, self.manifest.index)

    @cached_property
    def _mean(self) -> np.ndarray:
        return self.numpy().mean(axis=0, dtype=np.float64).astype(np.float32)

    def _known_rows(self, keys: pa.StringArray) -> np.ndarray:
        rows = self._index.rows(keys)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            shown = _listed(keys[int(at)].as_py() for at in unknown[:5])
            raise UnknownKey(
                f"{len(unknown)} of {len(keys)} keys have no vector in {self.reference}: {shown}"
                f"{', ...' if len(unknown) > 5 else ''};"
                " keys are case-sensitive, and lookup() takes missing='zero', 'mean' or 'mask'"
            )
        return rows

    def _query_vectors(self, queries: Any) -> tuple[np.ndarray, np.ndarray]:
        """(Q, D) float32 and the (Q,) rows they came from, -1 for vectors."""
        if isinstance(queries, np.ndarray) and queries.dtype.kind in "fiu":
            with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
                vectors = np.atleast_2d(queries).astype(np.float32)
            return vectors, np.full(len(vectors), -1, np.int64)
        rows = self._known_rows(as_keys(queries))
        return self.numpy()[rows], rows


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name)[:80] for name in sorted(names)) or "none"
