"""Exact negatives: every tile of the table, its unseen pairs too, once an epoch (`negatives="exact"`)."""

import time

import jax
import numpy as np

from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.tile_epoch import State, compile_epoch, first_state, shape_of, take_vectors
from embedding_assets.trainers.tile_plans import Plan, draw_visits, exact_plan, number_of_visits
from embedding_assets.trainers.tiles import Tiles, choose_tile, lay_out, power_of_two
from embedding_assets.trainers.way import Work


class ExactTiles:
    """The table as tiles on one device; a `Way`."""

    def __init__(self, work: Work) -> None:
        settings, counts = work.settings, work.counts
        place_rng, *self._orders = work.rng.spawn(1 + work.course.epochs)
        size = choose_tile(dimensions(counts), settings.tile)
        self.metrics = {"tile": float(size)}
        heads = self._heads(work, size)
        tiles = lay_out(counts, settings.k * work.chances, size, place_rng, heads)
        self._plan = self._plan_for(tiles, heads, place_rng)
        self._padded = power_of_two(number_of_visits(self._plan))
        began = time.perf_counter()
        self._program = compile_epoch(shape_of(tiles, self._padded, settings.dim, work.precision), work.device)
        self.compile_seconds = time.perf_counter() - began
        self._pairs = counts.nnz
        self._inertia = settings.inertia
        self._tiles = tiles
        self._device = work.device
        self._arrays = jax.device_put(tiles.arrays, work.device)

    def _heads(self, work: Work, size: int) -> tuple[int, int]:
        """How many of the frequent rows and columns are laid out first; multiples of `size`, or all."""
        return 0, 0

    def _plan_for(self, tiles: Tiles, heads: tuple[int, int], rng: np.random.Generator) -> Plan:
        """Which tiles an epoch visits."""
        return exact_plan(tiles)

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> State:
        """See `Way`."""
        return jax.device_put(first_state(self._tiles, centers, contexts, self._inertia), self._device)

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        """See `Way`."""
        return jax.device_put(State(**arrays), self._device)

    def run_epoch(self, state: State, epoch: int, rates: np.ndarray) -> tuple[State, float]:
        """See `Way`; the tiles come in random order."""
        visits = draw_visits(self._plan, epoch, rates, self._padded, self._orders[epoch])
        state, loss = self._program(state, self._arrays, visits)
        return state, float(loss) / self._pairs  # counts are scaled to a mean of 1

    def vectors(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """See `Way`."""
        return take_vectors(state, self._tiles)
