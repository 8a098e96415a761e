"""`index.ann`: an Annoy forest that answers nearest-neighbour queries in the version's own metric.

Annoy's own `dot` is never used: its recall is poor. The largest inner product is found as an angle
instead (Bachrach et al. 2014): with M the largest norm, v becomes [v, sqrt(M^2 - |v|^2)], all of
one norm, and a query becomes [q, 0].
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from registry.errors import Corrupt
from registry.records import IndexInfo, Metric
from registry.search.calibration import CALIBRATED_K, calibrate
from registry.search.scan import Vectors

if TYPE_CHECKING:
    from annoy import AnnoyIndex

_TREES = 10
_SEED = 1
_BLOCK = 4096
# Bytes before the floats of an Annoy node: a size and a norm or two children, and for planes an
# offset.
_NODE_HEADER = {"angular": 12, "euclidean": 16}


def plan_index(vectors: Vectors, metric: Metric) -> IndexInfo:
    """The settings that the index of these vectors is built with, not yet calibrated."""
    width = vectors.values.shape[1] + (metric == "dot")
    radius = vectors.longest if metric == "dot" else 0.0
    space = "euclidean" if metric == "euclidean" else "angular"
    return IndexInfo(space=space, width=width, trees=_TREES, seed=_SEED, radius=radius, calibration=())


def build_index(vectors: Vectors, info: IndexInfo, path: Path) -> None:
    """Build the forest in memory and save it; the same vectors give the same bytes.

    One thread and a fixed seed make it so. Not Annoy's `on_disk_build`, which dies of SIGBUS on a
    full disk.

    Raises:
        OSError: Annoy could not write the file.
    """
    forest = _forest(info)
    count = len(vectors.values)
    forest.set_seed(info.seed)
    for row, vector in _rows_from_last(vectors, info):
        forest.add_item(row, vector)
    forest.build(info.trees, n_jobs=1)
    try:
        forest.save(str(path))
    except Exception as error:  # Annoy raises nothing narrower
        raise OSError(f"Annoy could not save {count} vectors to {path}: {error}") from error
    finally:
        forest.unload()


def _rows_from_last(vectors: Vectors, info: IndexInfo) -> Iterator[tuple[int, list[float]]]:
    """Rows in falling order: Annoy allocates up to the highest row given, here only once."""
    for stop in range(len(vectors.values), 0, -_BLOCK):
        start = max(stop - _BLOCK, 0)
        block = indexed(vectors.values[start:stop], info).tolist()
        yield from ((row, block[row - start]) for row in range(stop - 1, start - 1, -1))


def indexed(values: np.ndarray, info: IndexInfo) -> np.ndarray:
    """(B, D) vectors as the forest holds them, (B, width) float32."""
    if info.width == values.shape[1]:
        return values
    squares = np.einsum("nd,nd->n", values, values, dtype=np.float64)
    last = np.sqrt(np.maximum(info.radius**2 - squares, 0))
    return np.column_stack([values, last.astype(np.float32)])


def _forest(info: IndexInfo) -> "AnnoyIndex":
    from annoy import AnnoyIndex

    return AnnoyIndex(info.width, info.space)


class Forest:
    """A mapped `index.ann`.

    Args:
        path: the file, already verified against its checksum.
        vectors: what it indexes.
        info: how it was built.

    Raises:
        Corrupt: the file indexes other vectors, or was built with another width or metric.
    """

    def __init__(self, path: Path, vectors: Vectors, info: IndexInfo) -> None:
        size, node = path.stat().st_size, _NODE_HEADER[info.space] + 4 * info.width
        if size == 0 or size % node:  # Annoy would load it and then crash
            raise Corrupt(f"{path} has {size} bytes, no multiple of the {node} that width {info.width} needs")
        self._vectors, self._info = vectors, info
        self._forest = _forest(info)
        self._forest.load(str(path))
        self._check(path)

    def _check(self, path: Path) -> None:
        count = len(self._vectors.values)
        if self._forest.get_n_items() != count:  # the number of trees is not to be trusted: Annoy reports 19 of 10
            found = self._forest.get_n_items()
            raise Corrupt(f"{path} holds {found} vectors, the manifest says {count}")
        for row in {0, count // 2, count - 1}:
            expected = indexed(self._vectors.values[row : row + 1], self._info)[0]
            if not np.array_equal(np.array(self._forest.get_item_vector(row), np.float32), expected):
                raise Corrupt(f"{path} holds another vector for row {row} than the table")

    def candidates(self, queries: np.ndarray, count: int, effort: int) -> np.ndarray:
        """(Q, count) int64 rows that are probably near, in no order that counts; -1 where too few were found.

        Args:
            queries: (Q, D) float32.
            count: how many of each.
            effort: Annoy's search_k, how many nodes to inspect; more is slower and better.
        """
        rows = np.full((len(queries), count), -1, np.int64)
        asked = np.pad(queries, [(0, 0), (0, self._info.width - queries.shape[1])]).tolist()
        for q, vector in enumerate(asked):
            found = self._forest.get_nns_by_vector(vector, count, effort)
            rows[q, : len(found)] = found
        return rows


def calibrate_forest(path: Path, vectors: Vectors, info: IndexInfo, metric: Metric) -> IndexInfo:
    """The settings, with the recall that was measured at rising search_k."""
    efforts = [info.trees * CALIBRATED_K]
    while efforts[-1] < 4 * len(vectors):  # beyond, a scan is cheaper
        efforts.append(2 * efforts[-1])
    return replace(info, calibration=calibrate(Forest(path, vectors, info), vectors, metric, efforts))
