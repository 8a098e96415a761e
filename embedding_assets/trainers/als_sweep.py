"""Half a sweep of alternating least squares as one compiled program: one side's vectors from the other's.

Every row i of the solved side has a ridge regression of its own on the vectors y_j of its pairs. What the rows of a
side share is taken out by a change of coordinates, z_j = whiten' y_j and x_i = leave' u_i, so that each reads

    (I + sum_j d_ij z_j z_j') u_i = sum_j e_ij z_j

with d and e from the count of the pair alone, see `pair_weights`. For implicit feedback what is shared is the Gram
matrix of all y and the penalty. The condition number is then at most 1 + alpha max n, whatever the vectors are: few
steps of conjugate gradients go far, and the direct solution is exact to float32. Nothing is scattered: rows of one
chunk lie beside each other.

Where devices share the table, each solves its own rows from its own pairs. For that it is given all vectors of the kept
side, so it must have room for these beside its part; a half sweep sends nothing else, but for sums of D * D numbers.
Sizes: M devices; of each S slots of a chunk, P places, R of them of one side; D width of a vector; see `als_layout`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from embedding_assets.trainers.als import Als, Feedback, Solver
from embedding_assets.trainers.als_layout import BLOCK, Layout, Side, widths
from embedding_assets.trainers.als_solve import Rows, Solved, solve_shifted, solver_for
from embedding_assets.trainers.mesh import EACH, WHOLE, all_rows, compile_on, small_sum
from embedding_assets.trainers.tiles import Leaf

#: What each device holds a part of; it has all of the rest.
SIDE = Side(*(EACH for _ in Side._fields))


class Program(NamedTuple):
    """All that a compiled half sweep depends on, beside the devices.

    Attributes:
        total: P.
        room: R.
        chunks: (C, S) of each device.
        dim: D.
        feedback: as in `Als`.
        solver: as in `Als`; a row longer than a chunk is always solved exactly.
        shards: M.
        serial: as in `als_solve.solve_shifted`.
    """

    total: int
    room: int
    chunks: tuple[int, int]
    dim: int
    feedback: Feedback
    solver: Solver
    shards: int
    serial: bool


class Basis(NamedTuple):
    """Coordinates of one half sweep; all (D, D) float32, vectors multiply from the left.

    Attributes:
        whiten: the kept side into them.
        enter: the solved side into them.
        leave: the solved side out of them.
    """

    whiten: Leaf
    enter: Leaf
    leave: Leaf


class Strength(NamedTuple):
    """Settings that the program takes as numbers, () float32."""

    alpha: Leaf
    regularization: Leaf


class Sums(NamedTuple):
    """Of the side just solved, float32.

    Attributes:
        gram: (D, D), sum of x x'.
        gain: (), how far the objective fell below that of x = 0, the kept side's penalty left out.
        energy: (), sum of rho_i |u_i|^2; the penalty of this side, for explicit feedback.
    """

    gram: Leaf
    gain: Leaf
    energy: Leaf


class State(NamedTuple):
    """What a chunk changes: vectors of both sides (P, D), and `gain` and `energy` as in `Sums`, of one device."""

    factors: jax.Array
    gain: jax.Array
    energy: jax.Array


class Given(NamedTuple):
    """What the chunks only read; `kept` is (M * R, D) float32, the kept side in the coordinates of `basis`."""

    kept: jax.Array
    side: Side
    basis: Basis
    strength: Strength


def pair_weights(counts: jax.Array, alpha: jax.Array, feedback: Feedback) -> tuple[jax.Array, jax.Array]:
    """Both rho d and rho e for counts of any shape; 0 where the count is.

    Implicit: 1 wanted with weight c = 1 + alpha n, of which 1 is in the shared Gram matrix already.
    Explicit: n wanted with weight c.
    """
    weights = jnp.where(counts > 0, 1.0 + alpha * counts, 0.0)
    return (alpha * counts, weights) if feedback == "implicit" else (weights, weights * counts)


def row_penalties(pairs: jax.Array, strength: Strength, feedback: Feedback) -> jax.Array:
    """For rows with so many `pairs` rho: 1 where the penalty is in the shared matrix, else the penalty itself."""
    if feedback == "implicit":
        return jnp.ones(pairs.shape, jnp.float32)
    return strength.regularization * jnp.maximum(pairs, 1).astype(jnp.float32)


def half_sweep(
    factors: jax.Array, side: Side, basis: Basis, strength: Strength, *, program: Program
) -> tuple[jax.Array, Sums]:
    """Solve every row of `side`; every device does this with its own part.

    Args:
        factors: (P, D) float32, vectors of both sides by place; donated.
        side: what to solve.
        basis: its coordinates.
        strength: the settings that are numbers.
        program: the settings that are not, and the sizes.

    Returns:
        The new factors, and the sums over all devices.
    """
    feedback, shards = program.feedback, program.shards
    kept = all_rows(_transformed(factors, side.other_blocks, basis.whiten, program.room), shards)
    given = Given(kept, side, basis, strength)
    state = State(factors, jnp.float32(0.0), jnp.float32(0.0))
    state = _solve_long_rows(state, given, feedback)
    for at, width in enumerate(widths(side.columns.shape[1])):
        solve = solver_for(program.solver, width, program.dim, serial=program.serial)
        state = _solve_class(state, given, (at, width), solve, feedback)
    own = Sums(_gram(state.factors, side.blocks), state.gain, state.energy)
    return state.factors, Sums(*(small_sum(part, shards) for part in own))


def _solve_class(
    state: State, given: Given, of: tuple[int, int], solve: Callable[[Rows], Solved], feedback: Feedback
) -> State:
    """All rows of class `of`, (its number, its width), chunk after chunk."""
    (number, width), side, dim = of, given.side, given.kept.shape[1]
    rows = side.columns.shape[1] // width
    first, end = side.class_chunks[number, 0], side.class_chunks[number, 1]

    def step(chunk: jax.Array, state: State) -> State:
        place = side.class_places[number] + (chunk - first) * rows
        counts = side.counts[chunk].reshape(rows, width)
        d, e = pair_weights(counts, given.strength.alpha, feedback)
        rho = row_penalties(jnp.count_nonzero(counts, axis=1), given.strength, feedback)
        start = lax.dynamic_slice_in_dim(state.factors, place, rows) @ given.basis.enter
        z = _gather(given, chunk).reshape(rows, width, dim)
        return _put(state, given, place, rho, solve(Rows(z, d / rho[:, None], e / rho[:, None], start)))

    return lax.fori_loop(first, end, step, state)


def _solve_long_rows(state: State, given: Given, feedback: Feedback) -> State:
    """Rows longer than a chunk, one after the other: their normal equations are summed over their chunks."""
    side, dim = given.side, given.kept.shape[1]

    def add(chunk: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        inner, right, pairs = sums
        z = _gather(given, chunk)
        d, e = pair_weights(side.counts[chunk], given.strength.alpha, feedback)
        return inner + (d[:, None] * z).T @ z, right + e @ z, pairs + jnp.count_nonzero(side.counts[chunk])

    def step(row: jax.Array, state: State) -> State:
        nothing = jnp.zeros((dim, dim), jnp.float32), jnp.zeros(dim, jnp.float32), jnp.int32(0)
        span = side.long_chunks[row], side.long_chunks[row + 1]
        inner, right, pairs = lax.fori_loop(*span, add, nothing)
        rho = row_penalties(pairs[None], given.strength, feedback)
        right = right[None] / rho[:, None]
        solved = Solved(solve_shifted(inner[None] / rho[:, None, None], right), right)
        return _put(state, given, side.blocks[0] * BLOCK + row, rho, solved)

    return lax.fori_loop(0, side.longs[0], step, state)


def _gather(given: Given, chunk: jax.Array) -> jax.Array:
    """(S, D), the kept vectors of a chunk's pairs."""
    return given.kept.at[given.side.columns[chunk]].get(mode="promise_in_bounds")


def _put(state: State, given: Given, place: jax.Array, rho: jax.Array, solved: Solved) -> State:
    """The state with B solved rows at `place`; `rho` is (B,)."""
    vectors = solved.u @ given.basis.leave
    return State(
        factors=lax.dynamic_update_slice_in_dim(state.factors, vectors, place, 0),
        gain=state.gain + jnp.sum(rho * jnp.sum(solved.u * solved.v, axis=1)),
        energy=state.energy + jnp.sum(rho * jnp.sum(solved.u * solved.u, axis=1)),
    )


def _transformed(vectors: jax.Array, blocks: jax.Array, matrix: jax.Array, room: int) -> jax.Array:
    """(R, D), the vectors of the `blocks` times `matrix`, and 0 after them."""

    def move(at: jax.Array, target: jax.Array) -> jax.Array:
        return lax.dynamic_update_slice_in_dim(target, _block(vectors, at) @ matrix, (at - blocks[0]) * BLOCK, 0)

    return lax.fori_loop(blocks[0], blocks[1], move, jnp.zeros((room, vectors.shape[1]), jnp.float32))


def _gram(vectors: jax.Array, blocks: jax.Array) -> jax.Array:
    """(D, D), the sum of x x' over the vectors of the `blocks`."""

    def add(at: jax.Array, gram: jax.Array) -> jax.Array:
        block = _block(vectors, at)
        return gram + block.T @ block

    dim = vectors.shape[1]
    return lax.fori_loop(blocks[0], blocks[1], add, jnp.zeros((dim, dim), jnp.float32))


def _block(vectors: jax.Array, at: jax.Array) -> jax.Array:
    return lax.dynamic_slice_in_dim(vectors, at * BLOCK, BLOCK)


def program_of(layout: Layout, settings: Als, solver: Solver, ring: Mesh) -> Program:
    """The program that serves both sides of `layout`, on each device of `ring`."""
    serial = len(ring.local_devices) > 1 and ring.devices[0].platform == "cpu"
    return Program(layout.total, layout.room, layout.chunks, settings.dim, settings.feedback, solver, ring.size, serial)


@functools.lru_cache(maxsize=16)
def compile_half_sweep(program: Program, ring: Mesh) -> Any:
    """`half_sweep` for arrays of those sizes; a table of the same sizes gets the same program."""

    def spec(dtype: type, *sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, dtype)

    floats, ints = functools.partial(spec, np.float32), functools.partial(spec, np.int32)
    (chunks, size), dim, shards = program.chunks, program.dim, program.shards
    classes = len(widths(size))
    side = Side(
        columns=ints(shards * chunks, size),
        counts=floats(shards * chunks, size),
        long_chunks=ints(shards * (chunks + 1)),
        longs=ints(shards),
        class_chunks=ints(shards * classes, 2),
        class_places=ints(shards * classes),
        blocks=ints(shards * 2),
        other_blocks=ints(shards * 2),
    )
    square = floats(dim, dim)
    arguments = floats(shards * program.total, dim), side, Basis(square, square, square), Strength(floats(), floats())
    # an accelerator would round the factors of a product to 10 bits: too few for normal equations
    with jax.default_matmul_precision("highest"):
        return compile_on(
            ring,
            functools.partial(half_sweep, program=program),
            arguments,
            (EACH, SIDE, WHOLE, WHOLE),
            (EACH, WHOLE),
            donate_argnums=0,
        )
