"""What the tests of SGNS and SVD on a ring run in processes of their own, where jax sees several devices.

`python ring_runs.py schedule` on four devices, and `process PORT ID` twice, on one device each. Prints one JSON object.
"""

import dataclasses
import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from contracts import digest, fit_with_interruptions, neighbors_in_community, planted_table, random_table, refusal

from embedding_assets.records import PairTable
from embedding_assets.trainers.devices import pick_device
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.mesh import EACH, WHOLE, agreed, compile_on, large_sum, make_ring, spread
from embedding_assets.trainers.ring import RingTiles, block_of, visits_of
from embedding_assets.trainers.ring_layout import lay_out_ring
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.sgns_fit import noise_chances
from embedding_assets.trainers.svd import Svd
from embedding_assets.trainers.tile_epoch import State, first_state, run_epoch, take_vectors
from embedding_assets.trainers.tiles import TileArrays, choose_tile
from embedding_assets.trainers.way import Work

RATES = np.array([0.2, 0.1], np.float32)
RECTANGLE = (45, 70)
TWO = Sgns(dim=16, shards=2, device="cpu")
TWO_SVD = Svd(dim=6, oversampling=4, shards=2, device="cpu")


def work_of(table: PairTable, settings: Sgns) -> Work:
    counts = as_matrix(table)
    return Work(settings, counts, noise_chances(counts, 0.75), np.random.default_rng(7), pick_device("cpu"))


def in_the_ring(work: Work, vectors: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    ring = RingTiles(work)
    state, loss = ring.run_epoch(ring.begin(*vectors), 0, RATES)
    return list(ring.vectors(state)), loss


def one_by_one(work: Work, vectors: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """The ring's schedule on one device: turn after turn, and within it part after part."""
    settings, shards = work.settings, int(work.settings.shards)
    place_rng, order_rng = work.rng.spawn(2)
    size = choose_tile(dimensions(work.counts), settings.tile)
    tiles = lay_out_ring(work.counts, settings.k * work.chances, size, shards, place_rng)
    total = len(tiles.arrays.starts) - shards
    visits = visits_of(tiles.used, (shards, total), RATES, order_rng)
    whole = first_state(tiles, vectors[0], vectors[1], settings.inertia)
    epoch = jax.jit(functools.partial(run_epoch, size=size, precision="float32"))
    block = jax.jit(block_of, static_argnums=4)

    def part(values: np.ndarray, at: int, axis: int = 0) -> np.ndarray:
        return np.split(np.asarray(values), shards, axis)[at]

    rows = [(part(whole.centers, at), part(whole.center_squares, at)) for at in range(shards)]
    columns = [(part(whole.contexts, at, 1), part(whole.context_squares, at)) for at in range(shards)]
    losses = np.zeros(shards, np.float32)
    for turn in range(shards):
        for device in range(shards):
            owner = (device + turn) % shards
            own = TileArrays(*(part(leaf, device) for leaf in tiles.arrays))._replace(noise=tiles.arrays.noise)
            todo = visits._replace(tiles=part(visits.tiles, device), weights=part(visits.weights, device))
            state = State(rows[device][0], columns[owner][0], rows[device][1], columns[owner][1])
            own, todo = block(own, todo, np.int32(turn), np.int32(owner), shards)
            state, loss = epoch(state, own, todo)
            rows[device] = (state.centers, state.center_squares)
            columns[owner] = (state.contexts, state.context_squares)
            losses[device] += np.float32(loss)
    state = State(
        centers=np.concatenate([vectors for vectors, _ in rows]),
        contexts=np.concatenate([vectors for vectors, _ in columns], axis=1),
        center_squares=np.concatenate([squares for _, squares in rows]),
        context_squares=np.concatenate([squares for _, squares in columns]),
    )
    return list(take_vectors(state, tiles)), float(losses.sum(dtype=np.float64)) / work.counts.nnz


def schedule() -> dict[str, Any]:
    """Four devices against one by one, and a whole fit."""
    settings = Sgns(dim=8, shards=4, epochs=1, device="cpu", precision="float32")
    rng = np.random.default_rng(0)
    table = random_table(rng, *RECTANGLE, 900)
    vectors = [rng.standard_normal((n, 8), dtype=np.float32) for n in RECTANGLE]
    ring, again = (in_the_ring(work_of(table, settings), vectors) for _ in range(2))
    serial = one_by_one(work_of(table, settings), vectors)
    said = {
        "moved": float(np.abs(ring[0][0] - vectors[0]).min(axis=1).max()),
        "equal": all(np.array_equal(*pair) for pair in zip(ring[0], serial[0], strict=True)),
        "losses": [ring[1], serial[1]],
        "repeats": all(np.array_equal(*pair) for pair in zip(ring[0], again[0], strict=True)),
    }
    return said | whole_fit() | {"svd": svd_fits(), "sums": sums()}


def whole_fit() -> dict[str, Any]:
    fits = {shards: Sgns(dim=16, shards=shards, held_out=0.1, patience=1, device="cpu") for shards in (1, 4)}
    alone, ring = (trainer.fit(planted_table()) for trainer in fits.values())
    with tempfile.TemporaryDirectory() as folder:
        resumed, stopped = fit_with_interruptions(fits[4], Path(folder) / "state")
    return {
        "communities": [neighbors_in_community(side.vectors) for side in ring.tables],
        "held_out": [alone.metrics["held_out_loss"], ring.metrics["held_out_loss"]],
        "losses_of_fits": [alone.loss_curve[-1], ring.loss_curve[-1]],
        "device": ring.device,
        "shards": ring.metrics["shards"],
        "stopped": stopped,
        "resumed_equal": digest(resumed) == digest(ring),
        "too_many": refusal(Sgns(shards=5, device="cpu")),
        "digest_of_two": digest(TWO.fit(planted_table())),
    }


def svd_fits() -> dict[str, Any]:
    """Four devices against one, with the shorter side as rows, and as columns."""
    trainer = Svd(dim=6, oversampling=4, device="cpu", shards="auto")
    with tempfile.TemporaryDirectory() as folder:
        resumed, stopped = fit_with_interruptions(trainer, Path(folder) / "state")
    return {
        "wide": against_one(trainer, planted_table(*RECTANGLE)),
        "tall": against_one(trainer, planted_table(*reversed(RECTANGLE))),
        # fewer ids than devices
        "tiny": against_one(trainer, random_table(np.random.default_rng(0), 3, 2, 5)),
        "stopped": stopped,
        "resumed_equal": digest(resumed) == digest(trainer.fit(planted_table())),
        "digest_of_two": digest(TWO_SVD.fit(planted_table())),
    }


def against_one(trainer: Svd, table: PairTable) -> dict[str, Any]:
    alone = dataclasses.replace(trainer, shards=1).fit(table)
    ring, again = (trainer.fit(table) for _ in range(2))
    values = alone.extras["singular_values"]
    return {
        "lost": [result.metrics["lost_energy"] for result in (alone, ring)],
        "curves": [result.loss_curve for result in (alone, ring)],
        "singular": float(np.abs(ring.extras["singular_values"] - values).max() / values[0]),
        "vectors": max(
            float(np.abs(side.vectors - known.vectors).max() / np.abs(known.vectors).max())
            for side, known in zip(ring.tables, alone.tables, strict=True)
        ),
        "repeats": digest(ring) == digest(again),
        "device": ring.device,
        "shards": ring.metrics["shards"],
    }


def sums() -> bool:
    """Whether a sum over four devices is the one that adds part c from device c - 1 backwards to c, bit by bit."""
    ring = make_ring("cpu", 4)
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((4, 4, 50)) * 10.0 ** rng.integers(-4, 5, (4, 4, 50))).astype(np.float32)
    flat = values.reshape(16, 50)  # of each device, four parts of a row
    summed = compile_on(ring, functools.partial(large_sum, shards=4), [flat], [EACH], WHOLE)(spread(flat, EACH, ring))
    expected = np.zeros((4, 50), np.float32)
    for part in range(4):
        for device in (part - 1, part - 2, part - 3, part):
            expected[part] += values[device, part]
    return np.array_equal(summed, expected)


def own_numbers(identity: int) -> list[list[float]]:
    """What both processes have after they agreed on numbers of which each has its own; the last need 64 bits."""
    own = np.float32([identity, 0.5]), np.array([[identity + 1e-12]])[:, ::-1]
    return [values.ravel().tolist() for values in agreed(own, several=True)]


def process(port: str, identity: str) -> dict[str, Any]:
    """One of two processes that train one table."""
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(identity))
    return {
        "processes": jax.process_count(),
        "digest": digest(TWO.fit(planted_table())),
        "agreed": own_numbers(int(identity)),
        "checkpoint": refusal(TWO, checkpoint=Path("state")),
        "svd_digest": digest(TWO_SVD.fit(planted_table())),
        "svd_checkpoint": refusal(TWO_SVD, checkpoint=Path("state")),
    }


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps({"schedule": schedule, "process": process}[name](*arguments)))
