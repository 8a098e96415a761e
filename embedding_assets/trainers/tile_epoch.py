"""One epoch of SGNS as one compiled program: vectors and tiled counts in, better vectors out.

No shape depends on how many pairs a tile holds or how many tiles are visited, so tables of similar
size share one program. Sizes: T ids along a tile's edge, R and C blocks of rows and columns, D width
of a vector.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.polynomial import Chebyshev, Polynomial

from embedding_assets.trainers.checks import Precision
from embedding_assets.trainers.devices import Device
from embedding_assets.trainers.errors import TrainingDiverged
from embedding_assets.trainers.row_adagrad import RowAdagradState, scale_by_row_rss
from embedding_assets.trainers.tiles import CHUNK, Leaf, TileArrays, Tiles


class Visits(NamedTuple):
    """What one epoch does, in order; see `tile_plans`.

    Attributes:
        tiles: (M padded,) int32, ids; a tile may come more than once.
        weights: (M padded,) float32, what the tile's part of the objective is multiplied by at that visit.
        number: () int32, M; what follows the first M is padding.
        rates: (2,) float32, learning rate at the first visit and after the last, falling linearly.
    """

    tiles: Leaf
    weights: Leaf
    number: Leaf
    rates: Leaf


class State(NamedTuple):
    """Vectors in tile order, and for each the sum of its squared gradients (row-wise Adagrad).

    Attributes:
        centers: (R * T, D) float32.
        contexts: (D, C * T) float32; so that no product needs a transposed copy.
        center_squares: (R * T,) float32.
        context_squares: (C * T,) float32.
    """

    centers: Leaf
    contexts: Leaf
    center_squares: Leaf
    context_squares: Leaf


#: The usual length of a trained vector; turns a number of pairs into the size of a gradient.
USUAL_LENGTH = 2.8


def first_state(tiles: Tiles, centers: np.ndarray, contexts: np.ndarray, inertia: float = 0.0) -> State:
    """Lay (V_row, D) and (V_col, D) vectors out as the tiles are; padding is 0 and stays so.

    The squares begin at what an id of `inertia` pairs, none of them well predicted, collects in an exact epoch.
    """
    rows, cols = len(tiles.arrays.mass), len(tiles.arrays.noise)
    square = (inertia / tiles.mean * USUAL_LENGTH) ** 2 / centers.shape[1]
    row_blocks, col_blocks = (-(-len(places) // tiles.size) for places in (tiles.row_places, tiles.col_places))
    state = State(
        centers=np.zeros((rows, centers.shape[1]), np.float32),
        contexts=np.zeros((contexts.shape[1], cols), np.float32),
        center_squares=np.full(rows, square / col_blocks, np.float32),
        context_squares=np.full(cols, square / row_blocks, np.float32),
    )
    state.centers[tiles.row_places] = centers
    state.contexts[:, tiles.col_places] = contexts.T
    return state


def take_vectors(state: State, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """(V_row, D) and (V_col, D) float32 in vocabulary order.

    Raises:
        TrainingDiverged: a vector is not finite.
    """
    centers = np.asarray(state.centers)[tiles.row_places]
    return finite_vectors(centers, np.ascontiguousarray(np.asarray(state.contexts).T[tiles.col_places]))


def finite_vectors(centers: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, once every number in them is finite.

    Raises:
        TrainingDiverged: a vector is not finite.
    """
    for side, vectors in (("center", centers), ("context", contexts)):
        broken = np.count_nonzero(~np.isfinite(vectors).all(axis=1))
        if broken:
            raise TrainingDiverged(f"{broken} of {len(vectors)} {side} vectors are not finite; lower the learning rate")
    return centers, contexts


def tile_gradient(
    centers: jax.Array,
    contexts: jax.Array,
    pairs: jax.Array,
    mass: jax.Array,
    noise: jax.Array,
    precision: Precision = "float32",
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Uphill gradient of the objective on one tile, and the tile's loss (the objective negated).

    Args:
        centers: (A, D) float32, rows of the center table.
        contexts: (D, B) float32, columns of the transposed context table.
        pairs: (A, B) float32, counts n_ij.
        mass: (A,) float32, n_i over all columns.
        noise: (B,) float32, k p_j.
        precision: of the factors of the three products; their sums are float32.

    Returns:
        (A, D), (D, B) and () float32.
    """
    times = functools.partial(product, precision=precision)
    scores = times(centers, contexts)
    chance, softplus = logistic(scores)
    seen = pairs + mass[:, None] * noise[None, :]
    residual = pairs - seen * chance
    # XLA adds up a matrix one number at a time on a CPU, but multiplies it by ones in parallel
    loss = jnp.sum((seen * softplus - pairs * scores) @ jnp.ones_like(noise))
    return times(residual, contexts.T), times(centers.T, residual), loss


def product(left: jax.Array, right: jax.Array, precision: Precision) -> jax.Array:
    """(A, B) float32 of (A, C) and (C, B), whose entries are rounded to `precision` first."""
    if precision == "bfloat16":
        return jnp.matmul(left.astype(jnp.bfloat16), right.astype(jnp.bfloat16), preferred_element_type=jnp.float32)
    # a GPU would round them to 10 bits unless told otherwise
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)


#: log(1 + e) for e in [0, 1], to 1e-7: a third of the time of the exact function on a CPU.
LOG1P = Chebyshev.interpolate(np.log1p, 8, domain=[0, 1]).convert(kind=Polynomial, domain=[-1, 1])


def logistic(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    """s(x) and log(1 + exp(x)) from one exponential; no score overflows."""
    small = jnp.exp(-jnp.abs(scores))
    chance = jnp.where(scores >= 0, 1.0, small) / (1.0 + small)
    coefficients = jnp.asarray(LOG1P.coef[::-1], jnp.float32)
    return chance, jnp.maximum(scores, 0.0) + jnp.polyval(coefficients, small)


def dense_tile(tiles: TileArrays, tile: jax.Array, weight: jax.Array, size: int) -> jax.Array:
    """Counts of one tile times `weight` as (T, T) float32, written in chunks of one shape."""
    start, end = tiles.starts[tile], tiles.starts[tile + 1]

    def write(chunk: jax.Array, dense: jax.Array) -> jax.Array:
        at = start + chunk * CHUNK
        cells = lax.dynamic_slice(tiles.cells, (at,), (CHUNK,))
        counts = lax.dynamic_slice(tiles.counts, (at,), (CHUNK,))
        return dense.at[cells].add(jnp.where(at + jnp.arange(CHUNK) < end, weight * counts, 0.0))

    chunks = (end - start + CHUNK - 1) // CHUNK
    return lax.fori_loop(0, chunks, write, jnp.zeros(size * size, jnp.float32)).reshape(size, size)


def adagrad_step(
    vectors: jax.Array, squares: jax.Array, gradient: jax.Array, rate: jax.Array, axis: int
) -> tuple[jax.Array, jax.Array]:
    """Move vectors uphill by row-wise Adagrad.

    Args:
        vectors: (A, D) or (D, A) float32.
        squares: (A,) float32, as in `RowAdagradState`.
        gradient: of the shape of `vectors`.
        rate: () float32.
        axis: the one of size D.
    """
    step, state = scale_by_row_rss(axis).update(gradient, RowAdagradState(squares))
    return vectors + rate * step, state.squares


def run_epoch(
    state: State, tiles: TileArrays, visits: Visits, *, size: int, precision: Precision = "float32"
) -> tuple[State, jax.Array]:
    """Make the visits, updating the vectors after each.

    Args:
        state: vectors in tile order; donated.
        tiles: pairs by tile.
        visits: which tiles, in order.
        size: T.
        precision: of the products.

    Returns:
        The new state and the weighted loss summed over the visits, each as it was met, () float32.
    """
    col_blocks = state.contexts.shape[1] // size

    def visit(step: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, loss = carry
        tile = visits.tiles[step]
        row, col = tile // col_blocks * size, tile % col_blocks * size
        rate = visits.rates[0] + (visits.rates[1] - visits.rates[0]) * step / visits.number
        at = Visit(tile, visits.weights[step], row, col, rate)
        state, tile_loss = _visit_tile(state, tiles, at, size, precision)
        return state, loss + tile_loss

    return lax.fori_loop(0, visits.number, visit, (state, jnp.float32(0.0)))


class Visit(NamedTuple):
    """One step: which tile, its weight, where its rows and columns begin, the learning rate; all scalars."""

    tile: jax.Array
    weight: jax.Array
    row: jax.Array
    col: jax.Array
    rate: jax.Array


def _visit_tile(
    state: State, tiles: TileArrays, visit: Visit, size: int, precision: Precision
) -> tuple[State, jax.Array]:
    def block(values: jax.Array, start: jax.Array) -> jax.Array:
        return lax.dynamic_slice_in_dim(values, start, size, axis=values.ndim - 1)

    centers = lax.dynamic_slice_in_dim(state.centers, visit.row, size)
    contexts = block(state.contexts, visit.col)
    up_centers, up_contexts, loss = tile_gradient(
        centers,
        contexts,
        dense_tile(tiles, visit.tile, visit.weight, size),
        visit.weight * block(tiles.mass, visit.row),
        block(tiles.noise, visit.col),
        precision,
    )
    center_squares = block(state.center_squares, visit.row)
    context_squares = block(state.context_squares, visit.col)
    rows = adagrad_step(centers, center_squares, up_centers, visit.rate, axis=1)
    cols = adagrad_step(contexts, context_squares, up_contexts, visit.rate, axis=0)
    put = lax.dynamic_update_slice_in_dim
    state = State(
        centers=put(state.centers, rows[0], visit.row, 0),
        contexts=put(state.contexts, cols[0], visit.col, 1),
        center_squares=put(state.center_squares, rows[1], visit.row, 0),
        context_squares=put(state.context_squares, cols[1], visit.col, 0),
    )
    return state, loss


class Shape(NamedTuple):
    """All that a compiled epoch depends on, beside the device; see `State` and `TileArrays`."""

    size: int
    rows: int
    cols: int
    starts: int
    pairs: int
    visits: int
    dim: int
    precision: Precision


def shape_of(tiles: Tiles, visits: int, dim: int, precision: Precision = "float32") -> Shape:
    """The padded sizes of a layout and of `visits` visits an epoch."""
    arrays = tiles.arrays
    return Shape(
        size=tiles.size,
        rows=len(arrays.mass),
        cols=len(arrays.noise),
        starts=len(arrays.starts),
        pairs=len(arrays.cells),
        visits=visits,
        dim=dim,
        precision=precision,
    )


def arguments_of(shape: Shape) -> tuple[State, TileArrays, Visits]:
    """Shapes and types of what `run_epoch` takes."""

    def spec(dtype: type, *sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, dtype)

    floats, ints = functools.partial(spec, np.float32), functools.partial(spec, np.int32)
    state = State(
        centers=floats(shape.rows, shape.dim),
        contexts=floats(shape.dim, shape.cols),
        center_squares=floats(shape.rows),
        context_squares=floats(shape.cols),
    )
    tiles = TileArrays(
        starts=ints(shape.starts),
        cells=ints(shape.pairs),
        counts=floats(shape.pairs),
        mass=floats(shape.rows),
        noise=floats(shape.cols),
    )
    return state, tiles, Visits(ints(shape.visits), floats(shape.visits), number=ints(), rates=floats(2))


@functools.lru_cache(maxsize=16)
def compile_epoch(shape: Shape, device: Device) -> jax.stages.Compiled:
    """`run_epoch` for arrays of `shape`; a table of the same shape gets the same program."""
    there = jax.sharding.SingleDeviceSharding(device)
    run = functools.partial(run_epoch, size=shape.size, precision=shape.precision)
    program = jax.jit(run, donate_argnums=0, in_shardings=there, out_shardings=there)
    return program.lower(*arguments_of(shape)).compile()
