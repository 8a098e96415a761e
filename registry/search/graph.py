"""`index.hnsw`: a navigable graph by usearch (Malkov and Yashunin 2018), an optional second index of a version.

It is built at publish where the draft asks for it, in one thread so that the same vectors give the same bytes, and
mapped by readers. Vectors go in as they go into the Annoy forest, so that a dot product is found as an angle, and as
bfloat16: that has the range of float32, halves the file and more than doubles the speed; candidates are scored exactly
afterwards.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from registry.errors import Corrupt
from registry.extras import load_extra
from registry.records import GraphInfo, IndexInfo, Metric
from registry.search.calibration import calibrate
from registry.search.forest import indexed
from registry.search.scan import Vectors

_CONNECTIVITY = 16
_EXPANSION = 128  # candidates while building
_EFFORTS = (16, 32, 64, 128, 256, 512, 1024)
_BLOCK = 1 << 14
_ROUNDED = 2.0**-7  # bfloat16 keeps 8 bits of a number
_TINY = 1e-37  # and may lose what is smaller
_METRICS = {"angular": "cos", "euclidean": "l2sq"}


def load_usearch() -> Any:
    """The module `usearch.index`; raises MissingExtra where it is not installed."""
    return load_extra("usearch.index", "hnsw")


def build_graph(vectors: Vectors, info: IndexInfo, path: Path) -> None:
    """Add the vectors one after the other and save the graph.

    Args:
        vectors: N of them.
        info: how the forest of the same vectors holds them.
        path: of the new file.

    Raises:
        MissingExtra: usearch is not installed.
        OSError: the file could not be written.
    """
    index = load_usearch().Index(
        ndim=info.width,
        metric=_METRICS[info.space],
        dtype="bf16",
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION,
    )
    count = len(vectors.values)
    for start in range(0, count, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, count), dtype=np.uint64)
        index.add(rows, indexed(vectors.values[start : start + _BLOCK], info), threads=1)
    try:
        index.save(str(path))
    except RuntimeError as error:  # what usearch raises, whatever went wrong
        raise OSError(f"usearch could not save {count} vectors to {path}: {error}") from error


class Graph:
    """A mapped `index.hnsw`.

    Args:
        path: the file, already verified against its checksum.
        vectors: what it indexes.
        info: how the forest of the same vectors holds them.

    Raises:
        MissingExtra: usearch is not installed.
        Corrupt: the file is no graph, or indexes other vectors.
    """

    def __init__(self, path: Path, vectors: Vectors, info: IndexInfo) -> None:
        usearch = load_usearch()
        try:
            found = usearch.Index.metadata(str(path)) or {}
            self._index = usearch.Index.restore(str(path), view=True)
        except (RuntimeError, ValueError, KeyError) as error:
            raise Corrupt(f"{path} is no graph of usearch: {error}") from error
        count = len(vectors.values)
        if self._index is None or (len(self._index), self._index.ndim) != (count, info.width):
            raise Corrupt(f"{path} holds {found}, the manifest says {count} vectors of {info.width} floats")
        for row in {0, count // 2, count - 1}:
            expected = indexed(vectors.values[row : row + 1], info)[0]
            if not np.allclose(self._index.get(row), expected, rtol=_ROUNDED, atol=_TINY):
                raise Corrupt(f"{path} holds another vector for row {row} than the table")
        self._info = info

    def candidates(self, queries: np.ndarray, count: int, effort: int) -> np.ndarray:
        """(Q, count) int64 rows that are probably near; -1 where too few were found.

        Args:
            queries: (Q, D) float32.
            count: how many of each.
            effort: the expansion, how many candidates the walk keeps; more is slower and better.
        """
        self._index.expansion_search = max(effort, count)
        asked = np.pad(queries, [(0, 0), (0, self._info.width - queries.shape[1])])
        found = self._index.search(asked, count)
        if len(queries) == 1:
            rows = np.full((1, count), -1, np.int64)
            rows[0, : len(found.keys)] = found.keys
            return rows
        short = np.arange(count) >= np.asarray(found.counts)[:, None]
        return np.where(short, -1, found.keys.astype(np.int64))


def calibrate_graph(path: Path, vectors: Vectors, info: IndexInfo, metric: Metric) -> GraphInfo:
    """The settings of a built graph, with the recall that was measured at rising expansions."""
    built = GraphInfo(connectivity=_CONNECTIVITY, expansion=_EXPANSION, calibration=())
    return replace(built, calibration=calibrate(Graph(path, vectors, info), vectors, metric, _EFFORTS))
