"""One published version: vectors, keys, neighbours, lineage, scores; files open when first used."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa

from registry import layout
from registry.compose.interop import Interop
from registry.errors import Corrupt, InvalidQuery, SpaceMismatch, UnknownKey
from registry.logs.documents import read_lineage
from registry.records import (
    Composed,
    Manifest,
    Metric,
    Neighbors,
    Score,
    Upstream,
    Verification,
    VersionInfo,
)
from registry.search.finder import Finder
from registry.search.query import Plan, Query
from registry.search.scan import Vectors
from registry.show import notebook
from registry.show.cards import version_card
from registry.tables.files import VersionFiles
from registry.tables.keys import KeyIndex, as_keys
from registry.tables.parquet import as_table, read_attributes
from registry.tables.tensors import map_tensors

Missing = Literal["raise", "zero", "mean", "mask"]
Keys = str | Sequence[str] | np.ndarray | pa.Array | pa.ChunkedArray


class Version(Interop):
    """An immutable embedding table; get one from a `Store`.

    >>> words = open_registry("data/registry")["word/word@latest"]   # doctest: +SKIP
    >>> words.lookup(["jax", "gpu"]).shape                           # doctest: +SKIP
    (2, 64)

    Sizes: N keys, D floats per vector, Q queries.
    """

    def __init__(
        self,
        info: VersionInfo,
        files: VersionFiles,
        scores: Callable[[], list[Score]],
        aliases: Callable[[], list[str]],
    ) -> None:
        self.info = info
        self._files = files
        self._scores = scores
        self._aliases = aliases

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

    def rows(self, keys: Keys, unknown: int = -1) -> np.ndarray:
        """(Q,) int64, the row of each key, which is also its id in every layer made of this version.

        Args:
            keys: Q of them; one `str` counts as one.
            unknown: what a key without a vector gets, such as N for a layer's row for unknown keys.

        Raises:
            InvalidQuery: a key is not text.
        """
        rows = self._index.rows(as_keys(keys))
        return rows if unknown == -1 else np.where(rows < 0, unknown, rows)

    def extra(self, name: str) -> np.ndarray:
        """A further array published with the vectors, such as `context`; read-only and mapped.

        Raises:
            UnknownKey: there is no array of that name.
        """
        known = self._tensors.keys() - {"vectors"}
        if name not in known:
            raise UnknownKey(f"{self.reference} has no extra array {name!r:.80}; it has {_listed(known)}")
        return self._tensors[name]

    def extras(self) -> dict[str, np.ndarray]:
        """All further arrays that were published with the vectors, by name; read-only and mapped."""
        return {name: array for name, array in self._tensors.items() if name != "vectors"}

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
        return table.add_column(0, "key", self.keys())

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
        vectors = np.take(self.numpy(), rows, axis=0, mode="clip")  # row -1 of an unknown key is overwritten below
        if not found.all():
            vectors[~found] = self._vectors.mean if missing == "mean" else 0
        return (vectors, found) if missing == "mask" else vectors

    def neighbors(  # noqa: PLR0913 - one keyword for each side of a question
        self,
        queries: Keys | Composed,
        k: int = 10,
        *,
        metric: Metric | None = None,
        where: str | None = None,
        exclude: Keys = (),
        exclude_self: bool = True,
        recall: float | None = None,
        plan: Plan = "auto",
    ) -> Neighbors:
        """The k nearest keys of each query, best first; never fewer, and never padded.

        >>> tags.neighbors("jax", k=5, where="count > 100 and key like '#%'").plan   # doctest: +SKIP
        'exact, 1,210 of 40,000 match'

        Args:
            queries: a key, several keys, one vector (D,), vectors (Q, D), or what `compose` of a
                version of the same space gave.
            k: how many, at most as many as may be answers.
            metric: `dot`, `cosine` or `euclidean`; None is the version's own.
            where: a boolean SQL expression over `key` and the attributes; only keys for which it is
                true may be answers. DuckDB evaluates it, without files, other tables or Python.
            exclude: keys that may not be answers of any query.
            exclude_self: leave the query's own key out of its answer; vectors have none.
            recall: share of the true neighbours to find, in (0, 1]; None means 0.95 or better.
            plan: `auto` takes the cheapest of an exact scan, Annoy and, where the version was
                published with one, a graph (`hnsw`); the answer says which and with what effort.

        Raises:
            UnknownKey: a query key, or one to exclude, has no vector.
            MissingExtra: `hnsw` was forced and usearch is not installed.
            SpaceMismatch: the vectors were composed in another space.
            InvalidQuery: NaN, a wrong width, an unknown metric, a filter that DuckDB refuses, k larger
                than the number of keys that may be answers.
        """
        vectors, rows = self._query_vectors(queries)
        query = Query(
            vectors=vectors,
            own=rows if exclude_self else np.full(len(rows), -1, np.int64),
            k=k,
            metric=self.metric if metric is None else metric,
            recall=recall,
            plan=plan,
        )
        query.check(self.dim)
        found, scores, used = self._finder.find(query, where, self._known_rows(as_keys(exclude)))
        keys = self.keys().take(pa.array(found.reshape(-1))).to_pylist()
        return Neighbors(keys=[keys[at : at + k] for at in range(0, len(keys), k)], scores=scores, plan=used)

    def file(self, name: str) -> Path:
        """A local path to one of the version's own files, its bytes verified, such as `vectors.parquet`.

        Raises:
            Corrupt: the file is missing or altered.
            UnknownKey: a version has no such file.
        """
        if name not in self.manifest.files:
            raise UnknownKey(f"{self.reference} has no file {name!r:.80}; it has {_listed(self.manifest.files)}")
        return self._files.open(name)

    def lineage(self) -> Upstream | None:
        """What the version was made from, down to raw partitions; None if not recorded."""
        return read_lineage(self._files.read(layout.LINEAGE), f"{self.reference} {layout.LINEAGE}")

    def scores(self) -> list[Score]:
        """The newest result of every task and metric, as recorded so far."""
        return self._scores()

    def aliases(self) -> list[str]:
        """The aliases that name this version now, sorted, such as `production`."""
        return self._aliases()

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

    def __rich__(self) -> Any:
        from registry.show.terminal import card_of

        return card_of(version_card(self))

    def _repr_html_(self) -> str:
        return notebook.card_of(version_card(self))

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

    def _private_vectors(self) -> np.ndarray:
        self.numpy()  # checks what the file holds
        return map_tensors(self._files.open(layout.TABLE), private=True)["vectors"]

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
    def _finder(self) -> Finder:
        return Finder(self._files, self._vectors, self.attributes)

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

    def _check_composed(self, composed: Composed) -> None:
        if composed.space != self.space:
            raise SpaceMismatch(
                f"{composed.reference} composes vectors of space {composed.space!r:.80}, {self.reference} is of"
                f" {self.space!r:.80}; compose with a version of the same training run"
            )
        if not composed.coverage.all():
            raise InvalidQuery(
                f"bag {np.argmin(composed.coverage > 0)} has no key that {composed.reference} knows, so it has no"
                " neighbours; leave out the bags of coverage 0"
            )

    def _query_vectors(self, queries: Any) -> tuple[np.ndarray, np.ndarray]:
        """(Q, D) float32 and the (Q,) rows they came from, -1 for vectors."""
        if isinstance(queries, Composed):
            self._check_composed(queries)
            queries = queries.vectors
        if isinstance(queries, np.ndarray) and queries.dtype.kind in "fiu":
            with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
                vectors = np.atleast_2d(queries).astype(np.float32)
            return vectors, np.full(len(vectors), -1, np.int64)
        rows = self._known_rows(as_keys(queries))
        return self.numpy()[rows], rows


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name)[:80] for name in sorted(names)) or "none"
