"""The vectors of one table, in parts on its devices: first ones go in, side after side is solved, the last come out."""

import functools
import time
from dataclasses import dataclass

import jax
import numpy as np
import scipy.sparse as sp
from jax.sharding import Mesh

from embedding_assets.trainers.als import Als, Solver
from embedding_assets.trainers.als_layout import lay_out
from embedding_assets.trainers.als_sweep import Basis, Strength, Sums, compile_half_sweep, program_of
from embedding_assets.trainers.devices import Device
from embedding_assets.trainers.errors import TrainingDiverged
from embedding_assets.trainers.mesh import EACH, WHOLE, agreed, on_host, spread, spread_parts

ROWS, COLUMNS = 0, 1


@dataclass
class Work:
    """What is trained on, and where; `compile_seconds` adds up what making it ready spends on compiling."""

    counts: sp.csr_array
    ring: Mesh
    compile_seconds: float = 0.0


class Sweeper:
    """Holds the vectors of one table on a ring of devices, a part on each, and solves either side from the other."""

    def __init__(self, settings: Als, work: Work, solver: Solver) -> None:
        ring = work.ring
        layout = lay_out(work.counts, slots_on(ring.devices[0]), ring.size)
        program = program_of(layout, settings, solver, ring)
        began = time.perf_counter()
        self._half_sweep = compile_half_sweep(program, ring)
        work.compile_seconds += time.perf_counter() - began
        self.metrics = {"slots_per_pair": layout.slots / (2 * work.counts.nnz), "shards": float(ring.size)}
        self._settings = settings
        self._ring = ring
        self._places = layout.places
        self._total = ring.size * layout.total
        self._sides = [spread_parts(functools.partial(layout.side, side), ring) for side in (ROWS, COLUMNS)]
        self._factors: jax.Array

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> None:
        """Take over (V_row, D) and (V_col, D) vectors; comes before all else."""
        factors = np.zeros((self._total, self._settings.dim), np.float32)
        factors[self._places[ROWS]] = centers
        factors[self._places[COLUMNS]] = contexts
        self._factors = spread(agreed(factors, several=self._ring.is_multi_process), EACH, self._ring)

    def solve(self, side: int, gram: np.ndarray) -> Sums:
        """Solve one side; `gram` (D, D) is that of the other."""
        settings = self._settings
        # devices exchange vectors in these coordinates
        basis = agreed(basis_of(settings, gram), several=self._ring.is_multi_process)
        strength = Strength(np.float32(settings.alpha), np.float32(settings.regularization))
        all_have = spread((basis, strength), (Basis(WHOLE, WHOLE, WHOLE), Strength(WHOLE, WHOLE)), self._ring)
        self._factors, sums = self._half_sweep(self._factors, self._sides[side], *all_have)
        return Sums(*map(np.asarray, sums))

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """(V_row, D) and (V_col, D) float32; every process gets all of them.

        Raises:
            TrainingDiverged: a vector is not finite.
        """
        factors = on_host(self._factors, self._ring)
        centers, contexts = (factors[places] for places in self._places)
        for name, side in (("center", centers), ("context", contexts)):
            if broken := np.count_nonzero(~np.isfinite(side).all(axis=1)):
                raise TrainingDiverged(
                    f"{broken} of {len(side)} {name} vectors are not finite; {advice(self._settings)}"
                )
        return centers, contexts


def basis_of(settings: Als, gram: np.ndarray) -> Basis:
    """Coordinates in which what the rows of one side share is the identity; see `als_sweep`.

    With gram + regularization = Q E Q' these are z = E^-1/2 Q' y and u = E^1/2 Q' x; for explicit feedback rows share
    nothing.

    Args:
        settings: for the feedback and the regularization.
        gram: (D, D), of the kept side.

    Raises:
        TrainingDiverged: `gram` is not finite.
    """
    if settings.feedback == "explicit":
        one = np.eye(settings.dim, dtype=np.float32)
        return Basis(one, one, one)
    if not np.isfinite(gram).all():
        raise TrainingDiverged(f"the vectors are no longer finite; {advice(settings)}")
    energies, turn = np.linalg.eigh(gram.astype(np.float64))
    # rounding may have made one of them negative
    scale = np.sqrt(np.maximum(energies, 0.0) + settings.regularization)
    over, under = turn * scale, turn / scale
    return Basis(*(part.astype(np.float32) for part in (under, over, under.T)))


def slots_on(device: Device) -> int:
    """The most slots of a chunk: megabytes of vectors on a CPU, more where each chunk costs launches."""
    return 1 << 15 if device.platform == "cpu" else 1 << 18


def advice(settings: Als) -> str:
    """What to change when numbers overflow."""
    return (
        f"Als.alpha is {settings.alpha} and Als.regularization {settings.regularization}: "
        "scale the counts down, lower alpha or raise regularization"
    )
