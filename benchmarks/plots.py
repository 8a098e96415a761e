"""Small PNG pictures for a version's page: scores over weeks, a map of its vectors, its loss curve.

Figures are made without pyplot, so nothing is kept between calls.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drawing import FAINT, INK, LINE, figure_of, panels_of, plain, png
from benchmarks.vector_map import vectors_png
from registry.records import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss_curve_png", "score_history_png", "vectors_png"]

MAX_PANELS = 12
MAX_TICKS = 6


def score_history_png(history: Mapping[str, Sequence[Score]], title: str = "Scores by week") -> bytes:
    """One panel a metric: value, 95% interval and floor over weeks; an undefined week is a gap.

    Args:
        history: week (Monday, YYYY-MM-DD) -> the scores of that week's version. At most 12 metrics
            are drawn, the first by name.
        title: shown above.
    """
    weeks = sorted(history)
    series: dict[tuple[str, str], dict[str, Score]] = {}
    for week in weeks:
        for score in history[week]:
            series.setdefault((score.task, score.metric), {})[week] = score
    shown = sorted(series)[:MAX_PANELS]
    columns = min(3, max(1, len(shown)))
    figure, panels = panels_of(len(shown), columns, title)
    for at, ((task, metric), axes) in enumerate(zip(shown, panels, strict=True)):
        axes.set_title(f"{task}  {metric}", fontsize=8.5, color=INK, loc="left")
        _draw_series(axes, weeks, series[task, metric])
        if at < len(shown) - columns:
            axes.tick_params(labelbottom=False)  # the panel below says the weeks
    return png(figure)


def _draw_series(axes: "Axes", weeks: list[str], scores: Mapping[str, Score]) -> None:
    """Value as a line, interval as a band, floor dashed; x is the week's position."""
    at = np.arange(len(weeks))
    value, low, high, floor = (
        np.array([_field(scores.get(week), name) for week in weeks]) for name in ("value", "low", "high", "floor")
    )
    axes.fill_between(at, low, high, color=LINE, alpha=0.18, linewidth=0)
    axes.plot(at, value, color=LINE, marker="o", markersize=3.5, linewidth=1.4)
    axes.vlines(at, low, high, color=LINE, alpha=0.45, linewidth=1.1)  # a lone week has no band
    axes.plot(at, floor, color=FAINT, linestyle="--", marker="_", markersize=7, linewidth=1.1)
    if np.isfinite(floor).any():
        last = np.flatnonzero(np.isfinite(floor))[-1]
        axes.annotate(
            "floor",
            (at[last], floor[last]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=FAINT,
        )
    if not np.isfinite(value).any():
        axes.text(
            0.5,
            0.5,
            "undefined in every week",
            transform=axes.transAxes,
            ha="center",
            fontsize=8,
            color=INK,
        )
        axes.set_yticks([])
    ticks = at[:: max(1, -(-len(weeks) // MAX_TICKS))]
    axes.set_xticks(ticks, [weeks[tick] for tick in ticks], rotation=30, ha="right")
    axes.set_xlim(-0.5, len(weeks) - 0.5)
    axes.margins(y=0.15)
    plain(axes)


def loss_curve_png(losses: Sequence[float], title: str = "Training loss", unit: str = "mean loss") -> bytes:
    """Loss after each epoch, the last value written beside its point.

    Args:
        losses: one number an epoch; those that are not finite leave a gap.
        title: shown above.
        unit: label of the y axis.
    """
    from matplotlib.ticker import MaxNLocator

    figure = figure_of(5.0, 3.0)
    axes = figure.add_subplot()
    epochs = np.arange(1, len(losses) + 1)
    values = np.array(losses, np.float64)
    values[~np.isfinite(values)] = np.nan
    axes.plot(
        epochs,
        values,
        color=LINE,
        marker="o",
        markersize=4 if len(values) <= 40 else 0,
        linewidth=1.6,
    )
    if len(values) and np.isfinite(values[-1]):
        axes.annotate(
            f"{values[-1]:.4g}",
            (epochs[-1], values[-1]),
            xytext=(0, 8),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=INK,
        )
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=8, color=INK)
    axes.set_ylabel(unit, fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.06, y=0.15)
    plain(axes)
    return png(figure)


def _field(score: Score | None, name: str) -> float:
    """A number of a score, NaN where there is none."""
    value = None if score is None else getattr(score, name)
    return float("nan") if value is None else float(value)
