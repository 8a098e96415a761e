"""Many small ridge regressions at once: vectors, weights and wanted scores of each row's pairs in, its vector out.

All solvers take rows in the coordinates of `als_sweep`, where a row's system reads

    (I + sum_j d_j z_j z_j') u = sum_j e_j z_j

Sizes: B rows, w slots of a row (d and e are 0 for padding), D width of a vector.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from embedding_assets.trainers.als import Solver

CG_STEPS = 3
#: A batch of no more operations is factored by the thread that asks for it; of a larger one jaxlib makes tasks for the
#: threads of all CPU devices, and waits. Source: `GetLapackBatchChunkSize` in jaxlib/cpu/lapack_kernels.cc.
SERIAL_OPERATIONS = 200_000


class Rows(NamedTuple):
    """B rows of one width.

    Attributes:
        z: (B, w, D) float32, vectors of the other side.
        d: (B, w) float32, weights, at least 0.
        e: (B, w) float32, weights times wanted scores; 0 where d is.
        start: (B, D) float32, where `cg` begins.
    """

    z: jax.Array
    d: jax.Array
    e: jax.Array
    start: jax.Array


class Solved(NamedTuple):
    """Solutions u (B, D), and v (B, D) such that u . v is how far the objective fell below that of u = 0."""

    u: jax.Array
    v: jax.Array


def solver_for(solver: Solver, width: int, dim: int, *, serial: bool) -> Callable[[Rows], Solved]:
    """The way to solve rows of `width` slots; `exact` solves whichever of the two systems is smaller.

    Args:
        solver: as in `Als`.
        width: w.
        dim: D.
        serial: as in `solve_shifted`.
    """
    if solver == "cg":
        return solve_by_steps
    return functools.partial(solve_dual if width <= dim // 2 else solve_primal, serial=serial)


def solve_primal(rows: Rows, *, serial: bool = False) -> Solved:
    """The normal equations, (D, D) for each row, by Cholesky."""
    inner = jnp.einsum("bwk,bwl->bkl", rows.d[:, :, None] * rows.z, rows.z)
    right = _weighted(rows.z, rows.e)
    return Solved(solve_shifted(inner, right, serial=serial), right)


def solve_dual(rows: Rows, *, serial: bool = False) -> Solved:
    """The same solution from a (w, w) system for each row, by the Woodbury identity.

    With R the roots of d on a diagonal, u = Z' R (I + R Z Z' R)^-1 R^-1 e.
    """
    root = jnp.sqrt(rows.d)
    scaled = root[:, :, None] * rows.z
    wanted = jnp.where(root > 0, rows.e / jnp.where(root > 0, root, 1.0), 0.0)
    solved = solve_shifted(jnp.einsum("bwk,bvk->bwv", scaled, scaled), wanted, serial=serial)
    return Solved(_weighted(scaled, solved), _weighted(rows.z, rows.e))


def solve_shifted(matrices: jax.Array, right: jax.Array, *, serial: bool = False) -> jax.Array:
    """(B, n) solutions of (I + matrix) x = right for symmetric (B, n, n) matrices without negative eigenvalues.

    With `serial` the same solutions, a few rows at a time: several CPU devices of one process, each waiting for tasks
    of its own, could hold all the threads that should do the tasks.
    """
    batch, n = right.shape
    few = max(1, SERIAL_OPERATIONS // n**3)
    if serial and few < batch:
        return lax.map(lambda one: solve_shifted(one[0][None], one[1][None])[0], (matrices, right), batch_size=few)
    lower = lax.linalg.cholesky(matrices + jnp.eye(matrices.shape[2])[None], symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((lower, True), right[:, :, None])[:, :, 0]


def solve_by_steps(rows: Rows) -> Solved:
    """`CG_STEPS` steps of conjugate gradients; (D, D) is never built, a step reads z twice.

    Source: Takács, Pilászy and Tikk (2011), whose steps these are in other coordinates.
    """

    def times(vectors: jax.Array) -> jax.Array:
        scores = jnp.einsum("bwk,bk->bw", rows.z, vectors)
        return vectors + _weighted(rows.z, rows.d * scores)

    right = _weighted(rows.z, rows.e)
    u, rest = rows.start, right - times(rows.start)
    direction, square = rest, jnp.sum(rest * rest, axis=1)
    for _ in range(CG_STEPS):  # unrolled: a loop would copy z in every step
        image = times(direction)
        step = _ratio(square, jnp.sum(direction * image, axis=1))
        u, rest = u + step * direction, rest - step * image
        before, square = square, jnp.sum(rest * rest, axis=1)
        direction = rest + _ratio(square, before) * direction
    return Solved(u, right + rest)


def _weighted(z: jax.Array, weights: jax.Array) -> jax.Array:
    """(B, D), the sum of each row's vectors by weight."""
    return jnp.einsum("bwk,bw->bk", z, weights)


def _ratio(over: jax.Array, under: jax.Array) -> jax.Array:
    """(B, 1) quotients; 0 where `under` is 0, as for a row that is solved already."""
    return jnp.where(under > 0, over / jnp.where(under > 0, under, 1.0), 0.0)[:, None]
