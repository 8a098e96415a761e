"""SGNS on tables larger than one device: rows stay where they are, blocks of columns go round a ring of devices.

Each device holds a part of the centers with all their pairs, and at any time one block of the contexts. It trains the
tiles of those rows and columns, hands the block to its neighbour, and takes the next; after S turns every tile was
visited once and every block is back. No two devices ever hold the same vector, so nothing has to be merged, and the
result depends on S and not on timing. Several processes take part where `jax.distributed.initialize` was called.

Sizes: S devices (shards); see `ring_layout` for the others.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.mesh import (
    EACH,
    RING,
    WHOLE,
    backwards,
    compile_on,
    compile_turn,
    gathered,
    make_ring,
    spread,
)
from embedding_assets.trainers.ring_layout import lay_out_ring
from embedding_assets.trainers.tile_epoch import (
    Shape,
    State,
    Visits,
    arguments_of,
    first_state,
    run_epoch,
    shape_of,
    take_vectors,
)
from embedding_assets.trainers.tiles import TileArrays, choose_tile
from embedding_assets.trainers.way import Work

#: What each device holds a part of, and what all have.
STATE = State(centers=EACH, contexts=PartitionSpec(None, RING), center_squares=EACH, context_squares=EACH)
AXES = State(centers=0, contexts=1, center_squares=0, context_squares=0)
TILES = TileArrays(starts=EACH, cells=EACH, counts=EACH, mass=EACH, noise=WHOLE)
VISITS = Visits(tiles=EACH, weights=EACH, number=WHOLE, rates=WHOLE)


class RingTiles:
    """The table as tiles on a ring of `settings.shards` devices; a `Way`."""

    def __init__(self, work: Work) -> None:
        settings, counts, shards = work.settings, work.counts, work.shards
        place_rng, *self._orders = work.rng.spawn(1 + work.course.epochs)
        size = choose_tile(dimensions(counts), settings.tile)
        tiles = lay_out_ring(counts, settings.k * work.chances, size, shards, place_rng)
        self._mesh = make_ring(settings.device, shards)
        self._visits = len(tiles.arrays.starts) - shards
        shape = shape_of(tiles, self._visits, settings.dim, work.precision)
        began = time.perf_counter()
        self._programs = compile_ring(shape, self._mesh)
        self.compile_seconds = time.perf_counter() - began
        self.metrics = {"tile": float(size), "shards": float(shards)}
        self._pairs = counts.nnz
        self._inertia = settings.inertia
        self._tiles = tiles
        self._shards = shards
        self._arrays = spread(tiles.arrays, TILES, self._mesh)

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> State:
        """See `Way`."""
        return spread(first_state(self._tiles, centers, contexts, self._inertia), STATE, self._mesh)

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        """See `Way`."""
        return spread(State(**arrays), STATE, self._mesh)

    def run_epoch(self, state: State, epoch: int, rates: np.ndarray) -> tuple[State, float]:
        """See `Way`; of each block a device visits the tiles in random order."""
        visits = visits_of(self._tiles.used, (self._shards, self._visits), rates, self._orders[epoch])
        state, losses = self._programs.epoch(state, self._arrays, spread(visits, VISITS, self._mesh))
        return state, float(np.asarray(losses).sum(dtype=np.float64)) / self._pairs

    def vectors(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """See `Way`; every process gets all of them."""
        return take_vectors(State(*gathered(state, AXES, self._programs.turn)), self._tiles)


def visits_of(used: np.ndarray, sizes: tuple[int, int], rates: np.ndarray, rng: np.random.Generator) -> Visits:
    """One epoch: for each device and turn, the `used` tiles in an order of their own.

    Args:
        used: as in `Tiles`.
        sizes: S, and how many tiles there are on all devices, padding included.
        rates: (2,) float32, learning rate at the begin and end of the epoch.
        rng: draws the orders.

    Returns:
        `tiles` and `weights` are (S * S * tiles of a block,); `number` counts the visits of one turn.
    """
    shards, total = sizes
    orders = np.zeros((shards * shards, total // (shards * shards)), np.int32)
    orders[:, : len(used)] = rng.permuted(np.broadcast_to(used, (len(orders), len(used))), axis=1)
    return Visits(orders.ravel(), np.ones(orders.size, np.float32), np.int32(len(used)), rates)


def block_of(
    tiles: TileArrays, visits: Visits, turn: jax.Array, owner: jax.Array, shards: int
) -> tuple[TileArrays, Visits]:
    """What one device does in one turn.

    Args:
        tiles: of the device.
        visits: of the device, all turns.
        turn: () int32, counted from 0.
        owner: () int32, the device that the columns began at.
        shards: S.
    """
    part = lax.dynamic_slice_in_dim
    blocks, columns, each = (len(parts) // shards for parts in (tiles.starts, tiles.noise, visits.tiles))
    rate = visits.rates[0] + (visits.rates[1] - visits.rates[0]) * jnp.stack([turn, turn + 1]) / shards
    return (
        tiles._replace(
            starts=part(tiles.starts, owner * blocks, blocks + 1),
            noise=part(tiles.noise, owner * columns, columns),
        ),
        visits._replace(
            tiles=part(visits.tiles, turn * each, each), weights=part(visits.weights, turn * each, each), rates=rate
        ),
    )


def ring_epoch(
    state: State, tiles: TileArrays, visits: Visits, *, shards: int, run: Callable[..., tuple[State, jax.Array]]
) -> tuple[State, jax.Array]:
    """What every device does in an epoch, on its own part of the arguments.

    Args:
        state: its rows, and the columns that begin here.
        tiles: its pairs; the noise of all columns.
        visits: its own.
        shards: S.
        run: `run_epoch` with its settings.

    Returns:
        The new state, and the losses of all devices, (S,) float32.
    """
    here = lax.axis_index(RING)

    def turn(step: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, loss = carry
        state, more = run(state, *block_of(tiles, visits, step, (here + step) % shards, shards))
        contexts, squares = lax.ppermute((state.contexts, state.context_squares), RING, backwards(shards))
        return state._replace(contexts=contexts, context_squares=squares), loss + more

    state, loss = lax.fori_loop(0, shards, turn, (state, jnp.float32(0.0)))
    return state, lax.all_gather(loss, RING)


class RingPrograms(NamedTuple):
    """Compiled `ring_epoch`, and one turn of a whole state: every part moves to the device before."""

    epoch: Any
    turn: Any


@functools.lru_cache(maxsize=16)
def compile_ring(shape: Shape, mesh: Mesh) -> RingPrograms:
    """Both for arrays of `shape`, the sizes of all devices together; a table of the same shape gets the same ones."""
    run = functools.partial(run_epoch, size=shape.size, precision=shape.precision)
    arguments = arguments_of(shape)
    epoch = functools.partial(ring_epoch, shards=mesh.size, run=run)
    specs = (STATE, TILES, VISITS)
    return RingPrograms(
        epoch=compile_on(mesh, epoch, arguments, specs, (STATE, WHOLE), donate_argnums=0),
        turn=compile_turn(mesh, arguments[0], STATE),
    )
