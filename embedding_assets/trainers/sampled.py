"""Sampled negatives: the SGD of word2vec, pair by pair (`negatives="sampled"`); the reference for the exact ways.

Counted pairs go in; an epoch draws each as often as it was counted, in random order, beside k negatives, and moves
the three kinds of vectors. Sizes: B pairs that move together, K negatives of each, M pairs drawn in an epoch.
"""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax import lax

from embedding_assets.trainers.devices import Device
from embedding_assets.trainers.matrix import dimensions, row_of_each
from embedding_assets.trainers.tile_epoch import finite_vectors, logistic
from embedding_assets.trainers.tiles import Leaf, power_of_two
from embedding_assets.trainers.way import Work

#: Most pairs that move together: each sees the vectors as they were before the others of its batch.
LARGEST_BATCH = 256
#: A chance of 1 on the ladder of negatives: 31 bits, where float32 would round the chance of a rare column away.
FULL = 1 << 31


class SampledState(NamedTuple):
    """Vectors in vocabulary order, then padding: (V_row padded, D) and (V_col padded, D) float32."""

    centers: Leaf
    contexts: Leaf


class Draws(NamedTuple):
    """What one epoch visits.

    Attributes:
        rows: (M padded,) int32, the center of each drawn pair.
        cols: (M padded,) int32, its context.
        number: () int32, M.
        ladder: (V_col padded,) uint32, running sum of the chances to be drawn as a negative, times `FULL`.
        key: (2,) uint32, the negatives are drawn from it.
        rates: (2,) float32, learning rate at the first pair and after the last, falling linearly.
    """

    rows: Leaf
    cols: Leaf
    number: Leaf
    ladder: Leaf
    key: Leaf
    rates: Leaf


def sampled_gradient(
    centers: jax.Array, contexts: jax.Array, drawn: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Uphill gradient of log s(x) of each pair plus the sum of log s(-x) of its negatives, and the losses.

    Args:
        centers: (B, D) float32.
        contexts: (B, 1 + K, D) float32, the pair's own context first, then its negatives.
        drawn: (B,) float32, 1 for a pair and 0 for padding.

    Returns:
        (B, D), (B, 1 + K, D) and (B,) float32; the loss is the objective negated.

    Source: Mikolov et al. (2013), equation 4.
    """
    scores = jnp.einsum("bd,bkd->bk", centers, contexts)
    chance, softplus = logistic(scores)
    seen = jnp.zeros_like(scores).at[:, 0].set(1.0)
    residual = (seen - chance) * drawn[:, None]
    loss = (softplus.sum(axis=1) - scores[:, 0]) * drawn
    return (
        jnp.einsum("bk,bkd->bd", residual, contexts),
        residual[:, :, None] * centers[:, None, :],
        loss,
    )


def run_epoch(state: SampledState, draws: Draws, *, batch: int, k: int) -> tuple[SampledState, jax.Array]:
    """Visit all drawn pairs, B at a time; returns the new vectors and the summed loss, () float32."""

    def step(at: jax.Array, carry: tuple[SampledState, jax.Array]) -> tuple[SampledState, jax.Array]:
        (centers, contexts), loss = carry
        first = at * batch
        rows, own = (lax.dynamic_slice(ids, (first,), (batch,)) for ids in (draws.rows, draws.cols))
        rungs = jax.random.bits(jax.random.fold_in(draws.key, at), (batch, k)) >> 1  # below FULL
        negatives = jnp.searchsorted(draws.ladder, rungs, side="right").astype(jnp.int32)
        cols = jnp.concatenate([own[:, None], negatives], axis=1)
        drawn = (first + jnp.arange(batch) < draws.number).astype(jnp.float32)
        up_centers, up_contexts, losses = sampled_gradient(centers[rows], contexts[cols], drawn)
        rate = draws.rates[0] + (draws.rates[1] - draws.rates[0]) * first / draws.number
        state = SampledState(centers.at[rows].add(rate * up_centers), contexts.at[cols].add(rate * up_contexts))
        return state, loss + losses.sum()

    steps = (draws.number + batch - 1) // batch
    return lax.fori_loop(0, steps, step, (state, jnp.float32(0.0)))


def draw_pairs(counts: sp.csr_array, rng: np.random.Generator) -> np.ndarray:
    """(M,) int64 places among the stored counts, each about as often as it was counted, in random order.

    Whole counts come exactly as often; of 2.5 every other draw has two and three. Counts whose mean is below 1 are
    scaled up to it, so that M is at least the number of pairs.
    """
    ends = np.cumsum(counts.data, dtype=np.float64)
    number = draws_of(counts)
    steps = (np.arange(number) + rng.random()) * (ends[-1] / number)
    return rng.permutation(np.minimum(np.searchsorted(ends, steps, side="right"), counts.nnz - 1))


def draws_of(counts: sp.csr_array) -> int:
    """M, how many pairs an epoch draws."""
    return max(round(float(counts.data.sum(dtype=np.float64))), counts.nnz)


def ladder_of(chances: np.ndarray, length: int) -> np.ndarray:
    """(length,) uint32; the first rung above a draw from [0, `FULL`) is at the drawn column."""
    sums = np.cumsum(chances)
    ladder = np.full(length, FULL, np.uint32)
    ladder[: len(chances)] = np.rint(sums / sums[-1] * FULL)
    return ladder


class SampledNegatives:
    """The vectors as they are, and SGD over drawn pairs; a `Way`."""

    metrics: dict[str, float]

    def __init__(self, work: Work) -> None:
        settings, counts = work.settings, work.counts
        self._shape = dimensions(counts)
        rows, cols = (power_of_two(n) for n in self._shape)
        self._counts = counts
        self._rows = row_of_each(counts).astype(np.int32)
        self._draw_rngs = work.rng.spawn(work.course.epochs)
        self._device = work.device
        self._ladder = ladder_of(work.chances, cols)
        batch = min(LARGEST_BATCH, power_of_two(-(-min(self._shape) // 4)))
        self._most = power_of_two(draws_of(counts)) + batch
        began = time.perf_counter()
        shape = SampledShape(rows, cols, settings.dim, self._most, batch, settings.k)
        self._program = compile_sampled(shape, work.device)
        self.compile_seconds = time.perf_counter() - began
        self.metrics = {"batch": float(batch)}

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> SampledState:
        """See `Way`."""
        padded = (np.pad(side, ((0, power_of_two(len(side)) - len(side)), (0, 0))) for side in (centers, contexts))
        return jax.device_put(SampledState(*padded), self._device)

    def resume(self, arrays: dict[str, np.ndarray]) -> SampledState:
        """See `Way`."""
        return jax.device_put(SampledState(**arrays), self._device)

    def run_epoch(self, state: SampledState, epoch: int, rates: np.ndarray) -> tuple[SampledState, float]:
        """See `Way`; the loss is that of the pairs and negatives that were drawn."""
        rng = self._draw_rngs[epoch]
        places = draw_pairs(self._counts, rng)
        rows, cols = (np.zeros(self._most, np.int32) for _ in range(2))
        rows[: len(places)], cols[: len(places)] = self._rows[places], self._counts.indices[places]
        key = rng.integers(1 << 32, size=2, dtype=np.uint32)
        draws = Draws(rows, cols, np.int32(len(places)), self._ladder, key, rates)
        state, loss = self._program(state, draws)
        return state, float(loss) / len(places)

    def vectors(self, state: SampledState) -> tuple[np.ndarray, np.ndarray]:
        """See `Way`."""
        rows, cols = self._shape
        return finite_vectors(np.array(state.centers)[:rows], np.array(state.contexts)[:cols])


class SampledShape(NamedTuple):
    """All that the compiled epoch depends on, beside the device."""

    rows: int
    cols: int
    dim: int
    draws: int
    batch: int
    k: int


@functools.lru_cache(maxsize=16)
def compile_sampled(shape: SampledShape, device: Device) -> jax.stages.Compiled:
    """`run_epoch` for arrays of `shape`; a table of the same shape gets the same program."""
    there = jax.sharding.SingleDeviceSharding(device)

    def spec(dtype: type, *sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=there)

    state = SampledState(spec(np.float32, shape.rows, shape.dim), spec(np.float32, shape.cols, shape.dim))
    drawn = spec(np.int32, shape.draws)
    key = spec(np.uint32, 2)
    draws = Draws(drawn, drawn, spec(np.int32), spec(np.uint32, shape.cols), key, spec(np.float32, 2))
    program = jax.jit(functools.partial(run_epoch, batch=shape.batch, k=shape.k), donate_argnums=0)
    return program.lower(state, draws).compile()
