"""Opens what a question needs, be it an index or the attributes, once, and lets the plan use it."""

import importlib.util
from collections.abc import Callable
from functools import cached_property

import numpy as np
import pyarrow as pa

from registry import layout
from registry.errors import InvalidQuery
from registry.search.calibration import Calibration, Index
from registry.search.filters import matching_rows
from registry.search.forest import Forest
from registry.search.graph import Graph, load_usearch
from registry.search.neighbors import Engine, choose, search
from registry.search.query import Query
from registry.search.scan import Vectors
from registry.tables.files import VersionFiles


class Finder:
    """Nearest rows in one version.

    Args:
        files: of the version.
        vectors: all N of them.
        attributes: N rows of `key` and the attributes; called by the first filter.
    """

    def __init__(self, files: VersionFiles, vectors: Vectors, attributes: Callable[[], pa.Table]) -> None:
        self._files = files
        self._vectors = vectors
        self._attributes = attributes
        # A loop of questions with one filter pays for it once.
        self._last: tuple[str, Vectors] | None = None

    def find(self, query: Query, where: str | None, without: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        """(Q, k) int64 rows, best first, (Q, k) float32 scores, and the plan in words.

        Args:
            query: what is asked; its settings and vectors are checked already.
            where: SQL expression that an answer must fulfil; None for all.
            without: int64 rows that must not be answers.

        Raises:
            InvalidQuery: the filter is wrong, fewer than k vectors are left, or a forced plan cannot answer.
            MissingExtra: a graph was asked for and usearch is not installed.
        """
        vectors = self._vectors if where is None else self._filtered(where)
        if len(without):
            among = np.arange(len(vectors)) if vectors.among is None else vectors.among
            vectors = Vectors(vectors.values, np.setdiff1d(among, without, assume_unique=False))
        own_inside = bool((vectors.positions(query.own) >= 0).any())
        source = "this version has" if vectors.among is None else "where= and exclude= leave"
        query.check_enough(len(vectors), own_inside, source)
        if query.plan == "hnsw":
            self._require_graph()
        way = choose(query, vectors, self._calibrations(query))
        return search(query, vectors, way, None if way is None else self._index(way.engine))

    def _filtered(self, where: str) -> Vectors:
        last = self._last  # one read: another thread may filter by something else meanwhile
        if last is None or last[0] != where:
            last = self._last = where, Vectors(self._vectors.values, matching_rows(self._table, where))
        return last[1]

    def _calibrations(self, query: Query) -> dict[Engine, Calibration]:
        manifest = self._files.manifest
        if query.metric != manifest.metric:  # an index answers the version's own metric only
            return {}
        found: dict[Engine, Calibration] = {"annoy": manifest.index.calibration}
        if manifest.graph is not None and importlib.util.find_spec("usearch") is not None:
            found["hnsw"] = manifest.graph.calibration
        return found

    def _require_graph(self) -> None:
        manifest = self._files.manifest
        if manifest.graph is None:
            raise InvalidQuery(
                f"{manifest.entity}/{manifest.name} was published without a graph, so plan 'hnsw' cannot answer;"
                " publish with Draft(graph=True), or use plan='auto'"
            )
        load_usearch()

    def _index(self, engine: Engine) -> Index:
        return self._forest if engine == "annoy" else self._graph

    @cached_property
    def _table(self) -> pa.Table:
        return self._attributes()

    @cached_property
    def _forest(self) -> Forest:
        return Forest(self._files.open(layout.INDEX), self._vectors, self._files.manifest.index)

    @cached_property
    def _graph(self) -> Graph:
        return Graph(self._files.open(layout.GRAPH), self._vectors, self._files.manifest.index)
