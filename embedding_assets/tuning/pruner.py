"""Which trials are not worth finishing, told by their loss curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

#: Losses may be estimates: a curve has risen once it is above its first point by more than this share.
RISE = 0.02
#: So many trials of the same loss must have ended before a median is taken of them.
LEAST = 4


class LossPruner:
    """Stops a trial whose loss rises, or lies above the median of trials that can be compared with it.

    Two things differ from Optuna's own median rule, which compares all trials at the same epoch. The loss of two
    trials is compared only where the settings that give it its unit agree: with twice the negatives it is twice as
    large and no worse. And it is compared after the same share of the epochs, because the learning rate falls over
    all of them.

    Attributes:
        unit: names of the settings that must agree.
    """

    def __init__(self, unit: Sequence[str]) -> None:
        self.unit = tuple(unit)

    def why_hopeless(self, trial: "FrozenTrial", ended: "Sequence[FrozenTrial]") -> str | None:
        """The reason to stop `trial`, or None; curves are kept as share of the fit -> loss, negated."""
        shares, losses = curve_of(trial)
        now, first = losses[-1], losses[0]
        if not np.isfinite(now):
            return f"the loss is {now}"
        if now > first + RISE * abs(first):
            return f"the loss rose from {first:.4g} to {now:.4g}"
        alike = [other for other in ended if other.intermediate_values and self._same_unit(other, trial)]
        if len(alike) < LEAST:
            return None
        median = float(np.median([np.interp(shares[-1], *curve_of(other)) for other in alike]))
        if now > median:
            return f"the loss of {now:.4g} is above {median:.4g}, the median of {len(alike)} trials,"
        return None

    def _same_unit(self, one: "FrozenTrial", other: "FrozenTrial") -> bool:
        return all(one.params.get(name) == other.params.get(name) for name in self.unit)


def curve_of(trial: "FrozenTrial") -> tuple[np.ndarray, np.ndarray]:
    """Rising shares of the fit, and the loss after each; both (points,) float64."""
    shares = sorted(trial.intermediate_values)
    return np.array(shares, float), np.array([-trial.intermediate_values[share] for share in shares])
