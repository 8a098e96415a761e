"""What the tests of ALS on several devices run in processes of their own; prints one JSON object.

`python als_ring_runs.py four` on four devices, and `process PORT ID` twice, on one device each.
"""

import dataclasses
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from als_tables import long_table, skewed_table
from contracts import digest, earlier_tables, fit_with_interruptions, planted_table, random_table, refusal

from embedding_assets.records import TrainResult
from embedding_assets.trainers.als import Als

#: All of dim 8, and for tables of one padded size, so that few programs are compiled.
KINDS = {
    f"{feedback} {solver}": Als(
        dim=8, epochs=3, regularization=0.3, feedback=feedback, solver=solver, start="random", device="cpu"
    )
    for feedback, solver in itertools.product(("implicit", "explicit"), ("exact", "cg"))
}
ALONE = Als(dim=8, epochs=3, regularization=20.0, solver="exact", device="cpu")
FOUR = dataclasses.replace(ALONE, shards=4)
#: Two processes compile what both need twice: no spectral start.
TWO = dataclasses.replace(ALONE, shards=2, start="random")


def four() -> dict[str, Any]:
    """Four devices in one process."""
    compiled: list[str] = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    kinds = {kind: fitted_twice(dataclasses.replace(trainer, shards=4)) for kind, trainer in KINDS.items()}
    counted = [compilations(compiled)]
    rng = np.random.default_rng(0)
    for week in range(3):
        table = skewed_table(rng, 300 + 9 * week, 150 + 9 * week, 2100 + 150 * week)
        dataclasses.replace(KINDS["implicit exact"], shards=4).fit(table)
        counted.append(compilations(compiled))
    return {"kinds": kinds, "compiled": counted, "many": many()} | planted()


def fitted_twice(trainer: Als) -> dict[str, Any]:
    first, second = (trainer.fit(long_table()) for _ in range(2))
    return written(first) | {"repeats": digest(first) == digest(second)}


def many() -> float:
    """The loss where each device has thousands of wide systems to solve: enough for all threads to be waited for."""
    trainer = Als(dim=64, epochs=1, solver="exact", start="random", device="cpu", shards=4)
    return trainer.fit(random_table(np.random.default_rng(0), 2000, 2000, 120_000)).loss_curve[-1]


def planted() -> dict[str, Any]:
    ring = FOUR.fit(planted_table())
    init = earlier_tables(ring)
    warm = FOUR.fit(planted_table(), init=init)
    with tempfile.TemporaryDirectory() as folder:
        resumed, stopped = fit_with_interruptions(FOUR, Path(folder) / "state")
        resumed_warm, _ = fit_with_interruptions(FOUR, Path(folder) / "state", init=init)
    return {
        "cold": written(ring),
        "warm": written(warm),
        "device": ring.device,
        "shards": ring.metrics["shards"],
        "stopped": stopped,
        "resumed_equal": [digest(resumed) == digest(ring), digest(resumed_warm) == digest(warm)],
        "too_many": refusal(dataclasses.replace(FOUR, shards=5)),
        "digest_of_two": digest(TWO.fit(planted_table())),
    }


def compilations(events: list[str]) -> int:
    """How many of the `events` are a program compiled; forgets them."""
    compiled = events.count("/jax/core/compile/backend_compile_duration")
    events.clear()
    return compiled


def written(result: TrainResult) -> dict[str, Any]:
    """As JSON, to the last bit."""
    return {"losses": result.loss_curve, "vectors": [side.vectors.tolist() for side in result.tables]}


def process(port: str, identity: str) -> dict[str, Any]:
    """One of two processes that train one table together, and then each one for itself."""
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(identity))
    own = dataclasses.replace(KINDS["implicit exact"], seed=int(identity))
    return {
        "processes": jax.process_count(),
        "digest": digest(TWO.fit(planted_table())),
        "digest_of_own": digest(own.fit(long_table())),
        "checkpoint": refusal(TWO, checkpoint=Path("state")),
    }


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps({"four": four, "process": process}[name](*arguments)))
