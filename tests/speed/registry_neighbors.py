"""Rows about neighbours: recall and questions a second, ours beside Annoy alone, on one core each."""

from typing import Any

import numpy as np
from annoy import AnnoyIndex

from registry import Version
from tests.speed.registry_world import DIM, K, World, alternate, one_core, recall

BATCH = 64
Line = dict[str, Any]
_TREES, _SEED = 10, 1


def dot_recall(world: World, _rounds: int) -> Line:
    """Recall@10 of the dot product at default settings, against Annoy's own `dot`, one question at a time."""
    values, queries = world.hard
    truth = world.truth("dot")
    forest = AnnoyIndex(DIM, "dot")
    forest.set_seed(_SEED)
    for row, vector in enumerate(values):
        forest.add_item(row, vector)
    forest.build(_TREES, n_jobs=1)
    theirs = padded([forest.get_nns_by_vector(query, K) for query in queries.tolist()])
    answers = [world.dot.neighbors(query, K) for query in queries]
    found = rows_of(world.dot, [answer.keys[0] for answer in answers])
    ours, peer = recall(found, truth), recall(theirs, truth)
    return line(ours / peer, 5, {"recall": ours, "plan": answers[0].plan}, {"recall": peer})


def asked_recall(world: World, _rounds: int) -> Line:
    """Annoy is forced and a recall asked: the worst shortfall over four recalls on queries that are no rows."""
    truth = world.truth("cosine")
    reached = {}
    for asked in (0.8, 0.9, 0.95):
        answer = world.cosine.neighbors(world.hard[1], K, recall=asked, plan="annoy")
        reached[str(asked)] = round(recall(rows_of(world.cosine, answer.keys), truth), 4)
    shortfall = max(float(asked) - found for asked, found in reached.items())
    return {"ratio": round(shortfall, 4), "bar": 0.02, "met": shortfall <= 0.02, "ours": reached, "peer": {}}


def exact_batch(world: World, rounds: int) -> Line:
    """Questions a second of an exact scan of 64 at once, against Annoy at recall >= .96."""
    queries = world.hard[1][:BATCH]
    with one_core():
        forest, search_k, reached = annoy_at(world, 0.96)
        asked = queries.tolist()
        mine, theirs = alternate(
            rounds,
            lambda: world.cosine.neighbors(queries, K, plan="exact"),
            lambda: [forest.get_nns_by_vector(query, K, search_k) for query in asked],
        )
    peer = {"qps": round(BATCH / theirs), "recall": reached, "search_k": search_k}
    return line(theirs / mine, 3, {"qps": round(BATCH / mine), "recall": 1.0}, peer)


def graph(world: World, rounds: int) -> Line:
    """Questions a second of the optional graph in batches of 64, against Annoy, both at recall >= .96."""
    queries, truth = world.hard[1][:BATCH], world.truth("cosine")
    answer = world.cosine.neighbors(world.hard[1], K, plan="hnsw", recall=0.96)
    found = recall(rows_of(world.cosine, answer.keys), truth)
    with one_core():
        forest, search_k, reached = annoy_at(world, 0.96)
        asked = queries.tolist()
        mine, theirs = alternate(
            rounds,
            lambda: world.cosine.neighbors(queries, K, plan="hnsw", recall=0.96),
            lambda: [forest.get_nns_by_vector(query, K, search_k) for query in asked],
        )
    ours = {"qps": round(BATCH / mine), "recall": round(found, 4), "plan": answer.plan}
    peer = {"qps": round(BATCH / theirs), "recall": reached, "search_k": search_k}
    result = line(theirs / mine, 20, ours, peer)
    return result | {"met": result["met"] and found >= 0.96}


def filtered_recall(world: World, _rounds: int) -> Line:
    """Recall@10 among the 1% that match, against Annoy's 1,000 nearest with those taken out that do not."""
    version, where = world.cosine, "bucket < 10"
    allowed = np.flatnonzero(np.asarray(version.attributes()["bucket"]) < 10)
    truth = world.truth("cosine", allowed)
    forest = annoy_of(world)
    theirs = [forest.get_nns_by_vector(query, 100 * K) for query in world.hard[1].tolist()]
    kept = padded([[row for row in rows if row in set(allowed.tolist())][:K] for rows in theirs[:64]])
    answer = version.neighbors(world.hard[1], K, where=where)
    found, peer = recall(rows_of(version, answer.keys), truth), recall(kept, truth[:64])
    ours = {"recall": found, "plan": answer.plan}
    return {"ratio": round(found, 4), "bar": 0.99, "met": found >= 0.99, "ours": ours, "peer": {"recall": peer}}


def annoy_of(world: World) -> AnnoyIndex:
    """Annoy alone over the same vectors; same trees and seed as ours, so the same forest."""
    values, _ = world.hard
    forest = AnnoyIndex(DIM, "angular")
    forest.set_seed(_SEED)
    for row, vector in enumerate(values):
        forest.add_item(row, vector)
    forest.build(_TREES, n_jobs=1)
    return forest


def annoy_at(world: World, wanted: float) -> tuple[AnnoyIndex, int, float]:
    """Annoy, and the least search_k in steps of a quarter that reaches the recall, and the recall."""
    forest, truth, search_k = annoy_of(world), world.truth("cosine"), 1000
    while True:
        found = [forest.get_nns_by_vector(query, K, search_k) for query in world.hard[1].tolist()]
        reached = recall(padded(found), truth)
        if reached >= wanted:
            return forest, search_k, round(reached, 4)
        search_k += search_k // 4


def rows_of(version: Version, keys: list[list[str]]) -> np.ndarray:
    """(Q, k) rows of the keys of an answer."""
    flat = [key for found in keys for key in found]
    return version.rows(flat).reshape(len(keys), -1)


def padded(found: list[list[int]]) -> np.ndarray:
    """(Q, c) rows from lists of different lengths; -1 is none."""
    rows = np.full((len(found), max(map(len, found), default=0)), -1, np.int64)
    for q, each in enumerate(found):
        rows[q, : len(each)] = each
    return rows


def line(ratio: float, bar: float, ours: Line, peer: Line) -> Line:
    """A row whose ratio must reach the bar."""
    return {"ratio": round(ratio, 3), "bar": bar, "met": ratio >= bar, "ours": ours, "peer": peer}


ROWS = {
    "neighbors-dot-recall": dot_recall,
    "asked-recall": asked_recall,
    "exact-batch64": exact_batch,
    "filtered-recall": filtered_recall,
    "hnsw-batch64": graph,
}
