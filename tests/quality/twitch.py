"""Twitch DE: is a user's language mature, is the user a partner; five stratified folds (PEERS.md)."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.probe import stratified_folds
from embedding_assets.embeddings import consumer_producer, user_follow
from embedding_assets.tables.producers import PRODUCERS
from embedding_assets.trainers.svd import Svd
from tests.quality.judging import Row, at_least, open_graph, raw, read_off, trained_on, vectors_of

#: The best of the libraries: items and the friend graph apart.
PEERS = {"items": {"mature": 0.682, "partner": 0.891}, "friends": {"mature": 0.732, "partner": 0.965}}


def compare(data: Path) -> Iterator[Row]:
    """Items and friends factorised, beside the best library; then friends by walks, beside the factorised ones."""
    toml = data / "twitch.toml"
    labels = labels_of(toml)
    users = len(labels["mature"])
    # Items and users have equal numbers here: nobody of the follow graph may be taken for an item.
    nobody = {"graph/producers": PRODUCERS.empty_table()}
    items, friends = trained_on(toml, consumer_producer.SPEC, nobody), trained_on(toml, user_follow.SPEC)
    ways = {
        "items": (items, consumer_producer.SPEC, Svd(dim=64, weights="tfidf", rounds=6)),
        "friends": (friends, user_follow.SPEC, user_follow.FACTORISED),
        "friends-on-walks": (friends, user_follow.SPEC, user_follow.ON_WALKS),
    }
    for name, (table, spec, trainer) in ways.items():
        vectors = vectors_of(table, spec, trainer, users)
        for label, positive in labels.items():
            fold = stratified_folds(positive, folds=5, seed=0)
            auc, _ = read_off(vectors, positive[:, None], fold[:, None])
            row = f"twitch-{name}-{label}"
            yield at_least(row, auc, PEERS[name][label]) if name in PEERS else Row(row, round(auc, 4))


def labels_of(toml: Path) -> dict[str, np.ndarray]:
    """(users,) bool of both labels, row u for user `u`."""
    with TemporaryDirectory() as folder:
        table = raw(open_graph(toml, folder), "user_metadata")
    found = {}
    for name in PEERS["items"]:
        rows = table.filter(pc.equal(table["attribute"], name))
        found[name] = np.zeros(rows.num_rows, bool)
        found[name][rows["user_id"].cast(pa.int64()).to_numpy()] = pc.equal(pc.utf8_lower(rows["value"]), "true")
    return found
