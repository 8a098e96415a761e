"""The randomized SVD: a sparse matrix goes in, its largest singular triplets come out, with the energy lost on the way.

A random subspace of the shorter side is multiplied by A^T A once a round, which turns it towards the large singular
vectors; at the end a Rayleigh-Ritz step takes the best vectors inside it. Only the shorter side is ever made
orthonormal, by its Gram matrix: two passes over a thin matrix where a Householder QR needs many.

Source: Halko, Martinsson and Tropp (2011), algorithms 4.4 and 5.1; the shift: Feng and Yu, dashSVD (2024).
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse as sp
from jax.sharding import Mesh

from embedding_assets.trainers.devices import Device
from embedding_assets.trainers.errors import InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.low_rank_layout import (
    Scale,
    Sparse,
    both_ways,
    in_order,
    is_tall,
    lay_out,
    placed,
)
from embedding_assets.trainers.low_rank_programs import Programs, compile_programs
from embedding_assets.trainers.mesh import agreed, on_host, ring_of

#: Share of the smallest Ritz value that is taken off A^T A: the rest of the spectrum then shrinks faster. With more
#: than a half, singular values near 0 would overtake the smallest that is wanted.
SHIFT = 0.5
#: A component with a smaller share of the energy cannot be told from the rounding of float32.
NOISE = 1e-7
#: An eigenvalue of a matrix of cosines below this is float32's rounding.
HIDDEN = 1e-6
#: And below this in columns that were made orthonormal, they are fewer than they seem: the matrix has no more rank.
LACKING = 1e-2
#: Columns whose inner products are further than this from 0 and 1 are made orthonormal once more, so
#: often at most: a matrix of low rank leaves columns that stay 0.
LOOSE, MENDS = 1e-3, 4

#: An array on the host or on the device.
Columns = Any


class Search(NamedTuple):
    """Settings of the search.

    Attributes:
        rank: K, how many triplets are wanted.
        rounds: how often A^T A is applied.
        oversampling: further columns of the subspace.
        powers: U and V come multiplied by S to these powers.
    """

    rank: int
    rounds: int = 2
    oversampling: int = 32
    powers: tuple[float, float] = (0.0, 0.0)


class Subspace(NamedTuple):
    """Of the short side.

    Attributes:
        columns: (short, W) float32, nearly orthonormal; on the device with padding rows, without on the host.
        gram: (W, W) float64, their inner products.
    """

    columns: Columns
    gram: np.ndarray


class RitzPairs(NamedTuple):
    """Energies inside a subspace Q and their directions, largest first; both 0 for what Q lacks to W dimensions.

    Attributes:
        energies: (W,) float64, squared lengths of the columns of A Q T.
        turn: (W, W) float64 T, such that Q T is orthonormal and the columns of A Q T are orthogonal.
    """

    energies: np.ndarray
    turn: np.ndarray


#: Called after each round with the share of energy lost and the subspace, on the host.
AfterRound = Callable[[float, Subspace], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Triplets:
    """The K largest singular triplets, nearly; 0 past the rank that the matrix has.

    Attributes:
        left: (V_row, K) float32, U, times S to the power asked for.
        singular: (K,) float32, falling.
        right: (V_col, K) float32, V, likewise.
        lost: share of the energy ||A||^2 that U S V^T leaves, in [0, 1].
        compile_seconds: nearly 0 where the programs were there.
    """

    left: np.ndarray
    singular: np.ndarray
    right: np.ndarray
    lost: float
    compile_seconds: float


def random_columns(shape: tuple[int, int], search: Search, rng: np.random.Generator) -> np.ndarray:
    """(short, W) float32 to begin from, no wider than the matrix."""
    width = min(search.rank + search.oversampling, *shape)
    # uniform: a quarter of a normal's time, and as good a start
    columns = rng.random((min(shape), width), dtype=np.float32)
    columns -= 0.5
    return columns


def spanned_by(columns: np.ndarray, matrix: sp.csr_array) -> Subspace:
    """The subspace of (short, W) float32 `columns`, orthonormal or not; made 0 at ids without weight."""
    weights = abs(matrix).sum(axis=0 if is_tall(matrix) else 1)
    columns[weights == 0] = 0.0
    return Subspace(columns, as_finite(columns.T @ columns))


def truncated_svd(
    matrix: sp.csr_array,
    search: Search,
    subspace: Subspace,
    where: Device | Mesh,
    after_round: AfterRound = lambda lost, subspace: None,
) -> Triplets:
    """The `search.rank` largest singular triplets of (V_row, V_col) float32 `matrix`.

    The sign of a component is free; the largest entry of its shorter side is made positive.

    Args:
        matrix: whose entries are finite.
        search: its rounds are those left to do.
        subspace: to begin from: `spanned_by` some columns, or what `after_round` was given.
        where: the device where the large products are made, or a ring of devices that share the matrix.
        after_round: told of every round.

    Raises:
        InvalidPairTable: every entry is 0.
        TrainingDiverged: a number is not finite.
    """
    scale = scale_of(matrix)
    ring = where if isinstance(where, Mesh) else ring_of([where])
    layout = lay_out(matrix, len(subspace.gram), search.rank, ring.size)
    began = time.perf_counter()
    programs = compile_programs(layout.sizes, ring)
    compile_seconds = time.perf_counter() - began
    tall, wide = both_ways(matrix, scale, layout, ring)
    basis = subspace._replace(columns=placed(subspace.columns, layout.sizes.short, ring))

    def tell(pairs: RitzPairs, basis: Subspace) -> None:
        outside = max(1.0 - float(pairs.energies.sum()), 0.0)
        after_round(outside, basis._replace(columns=np.asarray(basis.columns)[: len(subspace.columns)]))

    with one_blas_thread():
        basis, image, pairs = improved(programs, (tall, wide), basis, search.rounds, tell)
    del tall, wide
    energies, turn = best_of(pairs, search.rank)
    with np.errstate(over="ignore"):  # infinite then, and refused
        singular = as_finite((np.sqrt(energies) * scale.norm).astype(np.float32))
    powers = search.powers if is_tall(matrix) else search.powers[::-1]
    longer, shorter = (np.where(singular > 0, singular, 1.0) ** power for power in powers)
    short_side = np.asarray(programs.turn_short(basis.columns, turn.astype(np.float32)))[: len(subspace.columns)]
    signs = np.where(-short_side.min(axis=0) > short_side.max(axis=0), -1.0, 1.0)
    longer = longer * signs / np.where(energies > 0, np.sqrt(energies), 1.0)
    tall_side = on_host(programs.turn_tall(image, (turn * longer).astype(np.float32)), ring)
    sides = in_order(tall_side, layout), short_side * (shorter * signs).astype(np.float32)
    left, right = sides if is_tall(matrix) else sides[::-1]
    return Triplets(
        left=left,
        singular=singular.astype(np.float32),
        right=right,
        lost=max(1.0 - float(energies.sum()), 0.0),
        compile_seconds=compile_seconds,
    )


def scale_of(matrix: sp.csr_array) -> Scale:
    """What makes the norm of `matrix` 1; no square overflows.

    Raises:
        InvalidPairTable: the norm is 0.
    """
    largest = np.abs(matrix.data).max(initial=np.float32(0.0))
    if largest == 0:
        raise InvalidPairTable(f"all {matrix.nnz} weights are 0, so nothing can be factored; use other weights")
    return Scale(largest, np.sqrt(np.square(matrix.data / largest).sum(dtype=np.float64)))


def one_blas_thread() -> AbstractContextManager[object]:
    """Numpy's small products and eigenvectors on one core: a second thread of BLAS waits busily where XLA's would work.

    Where threadpoolctl is not installed, as on a machine that only measures trainers, nothing happens.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def improved(
    programs: Programs,
    both: tuple[Sparse, Sparse],
    basis: Subspace,
    rounds: int,
    tell: Callable[[RitzPairs, Subspace], None],
) -> tuple[Subspace, jax.Array, RitzPairs]:
    """`basis` after so many rounds, its image A Q and its Ritz pairs; `tell` is called with each new basis."""
    tall, wide = both
    image = programs.image(tall, basis.columns, programs.blank())
    for step in range(rounds):
        back, ritz, gram = programs.power(wide, image, basis.columns)
        pairs = ritz_pairs(as_finite(ritz), basis)
        if step:  # the energies of a new basis are known half a round late
            tell(pairs, basis)
        basis = next_basis(programs, back, as_finite(gram), pairs, basis)
        image = programs.image(tall, basis.columns, image)
    pairs = ritz_pairs(as_finite(programs.gram(image)), basis)
    if rounds:
        tell(pairs, basis)
    return basis, image, pairs


def next_basis(programs: Programs, back: jax.Array, gram: np.ndarray, pairs: RitzPairs, basis: Subspace) -> Subspace:
    """The subspace times A^T A - shift: large singular vectors gain on all others.

    Args:
        programs: of the search.
        back: (short, W) float32, A^T A times the columns of `basis`.
        gram: (W, W) float64, inner products of `back`.
        pairs: Ritz pairs of `basis`.
        basis: what is turned.
    """
    shift = SHIFT * max(pairs.energies[-1], 0.0)
    gram = pairs.turn.T @ gram @ pairs.turn
    # in the turned basis Q^T A^T A Q and Q^T Q are diagonal, the energies and ones
    there = (pairs.turn != 0).any(axis=0)
    gram[np.diag_indices_from(gram)] += there * shift * (shift - 2 * pairs.energies)
    return orthonormal(programs, back, basis.columns, shift, pairs.turn @ whitening(gram, HIDDEN, HIDDEN**-0.5))


def orthonormal(programs: Programs, back: jax.Array, columns: jax.Array, shift: float, mix: np.ndarray) -> Subspace:
    """(back - shift columns) mix, whose columns should be orthonormal, and are mended where rounding spoilt that."""
    mix = agreed(mix.astype(np.float32), several=not columns.is_fully_addressable)
    mixed, gram = programs.mix(back, columns, np.float32(shift), mix)
    gram = as_finite(gram)
    for _ in range(MENDS):
        if np.abs(gram - np.eye(len(gram))).max() <= LOOSE:
            break
        mixed, gram = programs.mix(
            mixed, mixed, np.float32(0.0), whitening(gram, HIDDEN, HIDDEN**-0.5).astype(np.float32)
        )
        gram = as_finite(gram)
    return Subspace(mixed, gram)


def whitening(gram: np.ndarray, least: float, below: float) -> np.ndarray:
    """(W, W) float64 T such that columns with the inner products `gram`, times T, are orthonormal.

    Of all such T it is the one that turns the columns least. A direction whose share of the columns, an eigenvalue of
    their cosines, is under `least` counts as rounding and is multiplied by `below`.

    Source: Stathopoulos and Wu (2002), SVQB; the symmetric root is of Löwdin (1950).
    """
    sizes = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), 1.0))
    cosines = gram / np.outer(sizes, sizes)
    values, vectors = np.linalg.eigh((cosines + cosines.T) / 2)
    roots = np.where(values < least, below, 1.0 / np.sqrt(np.maximum(values, least)))
    return (vectors * roots) @ vectors.T / sizes[:, None]


def ritz_pairs(image: np.ndarray, basis: Subspace) -> RitzPairs:
    """Of a subspace Q, the same in all processes that share the matrix.

    Args:
        image: (W, W) float64, inner products of A Q.
        basis: Q, on the devices.
    """
    white = whitening(basis.gram, LACKING, 0.0)
    inside = white.T @ image @ white
    values, vectors = np.linalg.eigh((inside + inside.T) / 2)
    pairs = RitzPairs(values[::-1], white @ vectors[:, ::-1])
    return agreed(pairs, several=not basis.columns.is_fully_addressable)


def best_of(pairs: RitzPairs, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The `rank` largest, (K,) and (W, K); 0 where the energy is noise, or there are too few."""
    found = min(rank, int((pairs.energies > NOISE).sum()))
    missing = rank - found
    energies, turn = pairs.energies[:found], pairs.turn[:, :found]
    return np.pad(energies, (0, missing)), np.pad(turn, ((0, 0), (0, missing)))


def as_finite(numbers: jax.Array | np.ndarray) -> np.ndarray:
    """On the host, as float64.

    Raises:
        TrainingDiverged: one of them is not finite.
    """
    values = np.asarray(numbers, np.float64)
    if broken := values.size - np.count_nonzero(np.isfinite(values)):
        raise TrainingDiverged(
            f"{broken} of {values.size} inner products or singular values are not finite in float32; scale the weights"
        )
    return values
