"""Operations and bytes of a fit, counted from the algorithm and not from the program, and what chips could do.

V rows or columns of the table, N pairs, D width of a vector, W = D + oversampling. A multiplication and an addition
are two operations. Bytes are what has to move if nothing stays in a cache between two steps, so that a share of the
bandwidth above 1 means that caches helped. Start and layout are in neither.
"""

from typing import NamedTuple

from embedding_assets.trainers.als import Als
from embedding_assets.trainers.als_solve import CG_STEPS
from embedding_assets.trainers.checks import Precision
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd

FLOAT = 4  # bytes
PAIR = 8  # bytes: a count, and where it is


class Cost(NamedTuple):
    """Of one fit."""

    flops: float
    bytes: float


def sgns_cost(settings: Sgns, shape: tuple[int, int], pairs: int, epochs: int) -> Cost:
    """An epoch of exact tiles: three products of V_row x D x V_col, whatever the pairs are.

    6 V_row V_col D operations; the tiles of counts, scores and gradients are each written and read once, 24 bytes a
    cell, and every pair is read once. The vectors of a tile's edges are small beside that.
    """
    cells = shape[0] * shape[1]
    return Cost(6.0 * cells * settings.dim * epochs, (6.0 * FLOAT * cells + PAIR * pairs) * epochs)


def svd_cost(settings: Svd, shape: tuple[int, int], pairs: int) -> Cost:
    """Sparse products: one, and two a round, each 2 N W; then thin dense ones.

    A round makes three W x W Gram matrices and one change of basis of the short side; the end makes one Gram matrix of
    the tall side and turns both sides into D columns. A sparse product reads a row of W numbers for each pair.
    """
    tall, short = max(shape), min(shape)
    width = min(settings.dim + settings.oversampling, short)
    sparse = 1 + 2 * settings.rounds
    flops = 2.0 * pairs * width * sparse
    flops += 2.0 * width * (4.0 * short * width * settings.rounds + tall * width + (tall + short) * settings.dim)
    moved = sparse * pairs * (PAIR + FLOAT * width)
    moved += FLOAT * width * (8.0 * short * settings.rounds + 3.0 * tall + (settings.rounds + 1) * (tall + short))
    return Cost(flops, moved)


def als_cost(settings: Als, shape: tuple[int, int], pairs: int) -> Cost:
    """An epoch solves each side once by conjugate gradients.

    A pair costs 2 D for the right side, and 4 D for each application of the system: one at the start, then one a step.
    A vector costs 8 D^2: into the coordinates, out of them, the start, the Gram matrix. The vectors of the pairs are
    gathered (read and written once), read once for the right side and twice for each application.
    """
    applied, dim = 1 + CG_STEPS, settings.dim
    flops = 2.0 * pairs * dim * (2 + 4 * applied) + 8.0 * sum(shape) * dim**2
    moved = 2.0 * pairs * (PAIR + FLOAT * dim * (3 + 2 * applied)) + 8.0 * FLOAT * sum(shape) * dim
    return Cost(flops * settings.epochs, moved * settings.epochs)


class Chip(NamedTuple):
    """What a data sheet says: dense products with sums in float32, without sparsity, and memory.

    Attributes:
        bfloat16: operations a second; None where the chip has no such units.
        float32: operations a second, not rounded to 10 bits.
        bandwidth: bytes a second.
    """

    bfloat16: float | None
    float32: float
    bandwidth: float

    def peak(self, precision: Precision) -> float | None:
        """Operations a second in `precision`."""
        return self.bfloat16 if precision == "bfloat16" else self.float32


#: By a part of jax's name for the chip; the first that fits counts.
CHIPS = {
    "H200": Chip(989e12, 67e12, 4.8e12),
    "H100 PCIe": Chip(756e12, 51e12, 2.0e12),
    "H100": Chip(989e12, 67e12, 3.35e12),
    "A100-SXM4-40GB": Chip(312e12, 19.5e12, 1.555e12),
    "A100-PCIE-40GB": Chip(312e12, 19.5e12, 1.555e12),
    "A100": Chip(312e12, 19.5e12, 2.0e12),
    "L40S": Chip(362e12, 91.6e12, 0.864e12),
    "A10G": Chip(70e12, 35e12, 0.6e12),
    "L4": Chip(121e12, 30.3e12, 0.3e12),
    "V100": Chip(None, 15.7e12, 0.9e12),
    "T4": Chip(None, 8.1e12, 0.32e12),
}


def chip_of(kind: str) -> Chip | None:
    """The limits of a `jax.Device.device_kind`, or None for a chip that is not in the table.

    >>> chip_of("NVIDIA H200").bandwidth, chip_of("cpu")
    (4800000000000.0, None)
    """
    return next((chip for name, chip in CHIPS.items() if name in kind), None)
