"""R17: what is broken, empty or much too small ends in a typed error on its way to the alias, and is never served."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from contracts import planted_table
from registry_samples import make_draft, make_keys, make_vectors
from reliability.drills_publishing import folder

from embedding_assets.promotion import judge_together, promote_together, served_now
from embedding_assets.records import PairTable
from embedding_assets.spec import GATES
from embedding_assets.trainers.errors import InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.sgns import Sgns
from registry import Promotion, Score, Store, Version, open_registry
from registry.errors import GateFailed, InvalidEmbedding
from registry.gates import Gate

USER, PRODUCER = "user/likes", "producer/likes"
WEEKS = ("2026-01-05", "2026-01-12")


def publish(
    store: Store, monday: str, *, users: int = 20, producers: int = 20, score: float | None = None
) -> list[Version]:
    """What one training of two entities publishes."""
    found = []
    for entity, count in (("user", users), ("producer", producers)):
        keys = {"keys": make_keys(count), "vectors": make_vectors(count)}
        counts = pa.table({"count": np.full(count, 2.0)})
        draft = make_draft(entity=entity, name="likes", week=monday, space=monday, attributes=counts, **keys)
        found.append(store.publish(draft))
        if score is not None:
            store.add_score(found[-1], Score(task="t.v1", metric="m", value=score, rows_used=9))
    return found


def promote(store: Store, versions: Sequence[Version], gates: Sequence[Gate] = GATES) -> list[Promotion]:
    """Ask for both together, as the weekly job does."""
    return promote_together(store, judge_together(store, versions, gates), "a test")


def served(store: Store) -> list[str | None]:
    """What the alias names, of both entities."""
    return [served_now(store, name) for name in (USER, PRODUCER)]


def by_hand(store: Store, **changes: Any) -> None:
    """Publish users and ask for promotion as a person would."""
    facts: dict[str, Any] = {
        "entity": "user",
        "name": "likes",
        "week": WEEKS[1],
        "keys": make_keys(20),
        "vectors": make_vectors(20),
    }
    facts |= changes
    counts = pa.table({"count": np.full(len(facts["keys"]), 2.0)})
    version = store.publish(make_draft(attributes=counts, **facts))
    store.add_score(version, Score(task="t.v1", metric="m", value=0.5, rows_used=9))
    store.promote(version, "production", gates=GATES)


def trained(store: Store, table: PairTable, **settings: Any) -> None:
    """Train on `table`, and serve what comes out."""
    centers = Sgns(dim=5, start="random", device="cpu", **settings).fit(table).tables[0]
    by_hand(store, keys=centers.vocabulary.keys, vectors=centers.vectors)


def without_pairs(table: PairTable) -> PairTable:
    return replace(table, **{name: getattr(table, name)[:0] for name in ("row_ids", "col_ids", "counts")})


def fallen(store: Store) -> None:
    user, _ = publish(store, WEEKS[1], score=0.1)
    store.promote(user, "production", gates=GATES)


#: Each case: what must be raised, and the attempt to serve it.
NEVER: dict[str, tuple[type[Exception], Callable[[Store], None]]] = {
    "NaN loss": (TrainingDiverged, lambda store: trained(store, planted_table(20), learning_rate=1e30, epochs=9)),
    "empty table": (InvalidPairTable, lambda store: trained(store, without_pairs(planted_table(20)))),
    "one entity": (InvalidPairTable, lambda store: trained(store, planted_table(1))),
    "vocabulary of zero": (
        InvalidEmbedding,
        lambda store: by_hand(store, keys=make_keys(0), vectors=make_vectors(0)),
    ),
    "vectors of NaN": (InvalidEmbedding, lambda store: by_hand(store, vectors=np.full((20, 5), np.nan, np.float32))),
    "vectors of 0": (GateFailed, lambda store: by_hand(store, vectors=np.zeros((20, 5), np.float32))),
    "shrink over 30%": (GateFailed, lambda store: by_hand(store, keys=make_keys(13), vectors=make_vectors(13))),
    "a benchmark fell": (GateFailed, fallen),
}


def attempt(case: str, root: Path) -> list[str]:
    """Try to serve one case where good versions are served; everything that is not as it must be then."""
    error, serve = NEVER[case]
    store = open_registry(root)
    promote(store, publish(store, WEEKS[0], score=0.5))
    problems = []
    try:
        serve(store)
        problems.append(f"{case}: there was no {error.__name__}")
    except error:
        pass
    if (now := served(store)) != [f"{USER}@v1", f"{PRODUCER}@v1"]:
        problems.append(f"{case}: {now} are served")
    return problems


def broken_input(times: int) -> tuple[int, list[str]]:
    """Each case once; all of them again where `times` is more."""
    problems = []
    for number in range(times):
        with folder() as root:
            problems += attempt(list(NEVER)[number % len(NEVER)], root)
    return times, problems


DRILLS = {"R17": (broken_input, len(NEVER))}
