"""The course of a study as a small PNG."""

from collections.abc import Sequence

import numpy as np

from benchmarks.drawing import FAINT, INK, LINE, figure_of, plain, png
from embedding_assets.tuning.study import Trial


def trials_png(trials: Sequence[Trial], metric: str) -> bytes:
    """Value of each trial, the best so far as a line, the embedding's own settings as another; stopped ones as crosses.

    Args:
        trials: in their order; the first is the embedding's own settings.
        metric: label of the y axis.
    """
    from matplotlib.ticker import MaxNLocator

    numbers = np.arange(len(trials))
    values = np.array([np.nan if trial.value is None else trial.value for trial in trials])
    scored = np.isfinite(values)
    figure = figure_of(5.6, 3.2)
    axes = figure.add_subplot()
    axes.axhline(values[0], color=FAINT, linestyle="--", linewidth=1.1, label="the settings of the spec")
    axes.scatter(numbers[scored], values[scored], s=16, color=LINE, alpha=0.55, linewidth=0, label="a trial")
    axes.step(numbers, np.fmax.accumulate(values), where="post", color=LINE, linewidth=1.6, label="best so far")
    if not scored.all():
        low = values[scored].min()
        stopped = numbers[~scored]
        axes.scatter(stopped, np.full(len(stopped), low), marker="x", s=18, color=FAINT, label="stopped, or no score")
    axes.set_title("Best so far", fontsize=10, color=INK, loc="left")
    axes.set_xlabel("trial", fontsize=8, color=INK)
    axes.set_ylabel(metric, fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.03, y=0.12)
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    plain(axes)
    return png(figure)
