"""Pictures of drift: shares kept by kind and age, similarity of pairs over time, scores against age."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.drawing import FAINT, INK, LINE, figure_of, panels_of, plain, png
from benchmarks.drift.study import METRICS, by_age, kept_and_retrained
from benchmarks.vector_map import PALETTE, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

MAX_TICKS = 8
MAX_PAIRS = 12
#: From the paper's Figure 1: a week, a month, a year.
AGES = (1, 4, 52)
NAMED_AGES = {1: "1 week ago", 4: "4 weeks ago", 52: "52 weeks ago"}


def overlap_png(rows: Sequence[Row], kinds: Sequence[str], week: str) -> bytes:
    """Figure 1 of the paper: bars by kind and age, and beside them every age there is.

    Args:
        rows: `kind`, `weeks_back` and `share` in [0, 1] or None; a bar or point without a value is left out.
        kinds: in their order from left to right.
        week: named above.
    """
    share = {(row["kind"], row["weeks_back"]): row["share"] for row in rows if row["share"] is not None}
    figure = figure_of(10.5, 3.6)
    bars, curves = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_bars(bars, share, kinds)
    for kind, colour in zip(kinds, PALETTE, strict=False):
        ages = sorted(back for of, back in share if of == kind)
        curves.plot(ages, [100 * share[kind, age] for age in ages], color=colour, label=kind, marker=".", markersize=4)
    bars.set_title(f"of the most frequent of {week}, in %: also then", fontsize=9, color=INK, loc="left")
    curves.set_title("by age of the earlier list", fontsize=9, color=INK, loc="left")
    curves.set_xlabel("weeks before", fontsize=8, color=INK)
    for axes in (bars, curves):
        axes.set_ylim(0, 100)
        plain(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, frameon=False)
    return png(figure)


def _draw_bars(axes: "Axes", share: Mapping[tuple[str, int], float], kinds: Sequence[str]) -> None:
    width = 0.8 / len(AGES)
    for step, (age, colour) in enumerate(zip(AGES, PALETTE, strict=False)):
        there = [at for at, kind in enumerate(kinds) if (kind, age) in share]
        places = [at + (step - 1) * width for at in there]
        heights = [100 * share[kinds[at], age] for at in there]
        drawn = axes.bar(places, heights, width, color=colour, label=NAMED_AGES[age] if there else None)
        axes.bar_label(drawn, fmt="%.0f", fontsize=7, color=INK, padding=1)
    axes.set_xticks(range(len(kinds)), kinds)


def similarity_png(rows: Sequence[Row], noise: Mapping[tuple[str, str], float | None], title: str) -> bytes:
    """Cosine of pairs of keys over weeks; the band is two standard deviations of what the seed alone changes.

    Args:
        rows: `week`, `first`, `second`, and `cosine` or None, which leaves a gap.
        noise: pair -> standard deviation, None where it is not known.
        title: shown above.
    """
    pairs = list(dict.fromkeys((row["first"], row["second"]) for row in rows))[:MAX_PAIRS]
    weeks = sorted({row["week"] for row in rows})
    cosine = {(row["first"], row["second"], row["week"]): row["cosine"] for row in rows}
    figure = figure_of(7.8, 4.0)
    axes = figure.add_subplot()
    for at, (first, second) in enumerate(pairs):
        colour = PALETTE[(at // 2) % len(PALETTE)]
        values = np.array([cosine.get((first, second, week), np.nan) for week in weeks], np.float64)
        axes.plot(values, color=colour, linestyle=("-", "--")[at % 2], marker=".", label=_plain(f"{first}, {second}"))
        spread = 2 * (noise.get((first, second)) or 0.0)
        axes.fill_between(range(len(weeks)), values - spread, values + spread, color=colour, alpha=0.13, linewidth=0)
    _week_ticks(axes, weeks)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_ylabel("cosine", fontsize=8, color=INK)
    plain(axes)
    if pairs:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png(figure)


def staleness_png(rows: Sequence[Row], title: str, kept: str | None = None) -> bytes:
    """Above, each week's score of a version kept for ever and of one retrained weekly; below, the mean loss by age.

    Args:
        rows: of one embedding, in the schema `study.STALENESS`.
        title: shown above.
        kept: the week of the version that is kept; None takes the first.
    """
    figure, panels = panels_of(2 * len(METRICS), len(METRICS), title, between=0.8)
    above, below = panels[: len(METRICS)], panels[len(METRICS) :]
    over_weeks, ages = kept_and_retrained(rows, kept), by_age(rows)
    for at, metric in enumerate(METRICS):
        _draw_weeks(above[at], metric, [row for row in over_weeks if row["metric"] == metric])
        _draw_ages(below[at], [row for row in ages if row["metric"] == metric])
    below[0].set_ylabel("loss by age", fontsize=8, color=INK)
    return png(figure)


def _draw_weeks(axes: "Axes", metric: str, rows: Sequence[Row]) -> None:
    axes.set_title(metric, fontsize=8.5, color=INK, loc="left")
    at = range(len(rows))
    axes.plot(at, [row["retrained"] for row in rows], color=LINE, marker=".", label="retrained each week")
    axes.plot(at, [row["kept"] for row in rows], color=PALETTE[1], marker=".", label="trained once")
    _week_ticks(axes, [row["week"] for row in rows])
    plain(axes)
    if metric == METRICS[0] and rows:
        axes.legend(fontsize=7, frameon=False)


def _draw_ages(axes: "Axes", rows: Sequence[Row]) -> None:
    ages = [row["age"] for row in rows]
    behind, low, high = (np.array([row[name] for row in rows], np.float64) for name in ("behind", "low", "high"))
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.fill_between(ages, low, high, color=PALETTE[1], alpha=0.18, linewidth=0)
    axes.plot(ages, behind, color=PALETTE[1], marker=".")
    axes.set_xlabel("age in weeks", fontsize=8, color=INK)
    plain(axes)


def _week_ticks(axes: "Axes", weeks: Sequence[str]) -> None:
    ticks = range(0, len(weeks), max(1, -(-len(weeks) // MAX_TICKS)))
    axes.set_xticks(ticks, [weeks[tick] for tick in ticks], rotation=30, ha="right")


def _plain(text: str) -> str:
    """A key as a label: `$` begins mathematics, a leading `_` hides it, and a letter that the font lacks is a box."""
    known = drawable()
    written = "".join(letter if ord(letter) in known else "\u25a1" for letter in text)
    return written.replace("$", r"\$").replace("_", " _", 1) if written.startswith("_") else written.replace("$", r"\$")
