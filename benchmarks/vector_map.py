"""A map of vectors: near points are near vectors, named where there is room."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drawing import DPI, FAINT, INK, figure_of, plain, png
from benchmarks.neighborhoods import points_one_way
from benchmarks.similarity_plane import similarity_plane
from registry.judging.align import unit_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's palette without yellow and black: told apart by the colour-blind, on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5195", "#5c6b73")
FONT_SIZE, GAP = 7, 3  # points
#: Where a name may stand, best first: right, left, above, below its point.
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
HORIZONTAL = {1: "left", 0: "center", -1: "right"}
VERTICAL = {1: "bottom", 0: "center", -1: "top"}
#: Fewer vectors are drawn on their principal components: t-SNE needs neighbours.
MIN_TSNE = 30


def vectors_png(
    keys: Sequence[str],
    vectors: np.ndarray,
    groups: Sequence[str] | None = None,
    title: str = "Vectors",
) -> bytes:
    """Unit vectors on a plane by t-SNE, or by principal components where there are under 30.

    Args:
        keys: N ids, most important first: where names would overlap, the earlier is written. About
            100 to 250 give a readable map; the time grows with N squared, 0.3 s at 150.
        vectors: (N, D) float32; D at least 1.
        groups: N group names for colour; up to eight get one each, the smallest of more share a grey.
        title: shown above.

    Raises:
        ValueError: lengths differ, or there is nothing to draw.
    """
    if not len(keys) == len(vectors) or (groups is not None and len(groups) != len(keys)):
        raise ValueError(
            f"{len(keys)} keys, {len(vectors)} vectors, "
            f"{len(keys if groups is None else groups)} groups: lengths differ"
        )
    if len(keys) == 0:
        raise ValueError("no vectors to draw: give at least one key")
    figure = figure_of(7.2, 5.4)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.margins(0.06)
    points = _draw_points(axes, unit_rows(vectors))
    colours = _draw_groups(axes, points, groups)
    plain(axes)
    unnamed = _name_points(figure, axes, keys, points, colours)
    if unnamed:
        axes.text(
            1.0,
            1.01,
            f"{unnamed} names need another font",
            transform=axes.transAxes,
            ha="right",
            fontsize=7,
            color=FAINT,
        )
    return png(figure)


def _draw_points(axes: "Axes", unit: np.ndarray) -> np.ndarray:
    """(N, 2) places of (N, D) unit rows; labels the axes with what they mean."""
    if len(unit) >= MIN_TSNE and not points_one_way(unit):
        axes.set_xlabel("t-SNE of cosines: near is similar, axes have no unit", fontsize=8, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        return similarity_plane(unit, principal_plane(unit)[0])
    points, explained = principal_plane(unit)
    axes.set_xlabel(f"first component, {explained[0]:.0%} of the variance", fontsize=8, color=INK)
    axes.set_ylabel(f"second component, {explained[1]:.0%}", fontsize=8, color=INK)
    return points


def principal_plane(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) coordinates of (N, D) rows on two principal components, (2,) shares of variance.

    The sign of each component is fixed by its largest coordinate: equal weeks give equal pictures.
    """
    centered = rows - rows.mean(axis=0)
    left, scale, _ = np.linalg.svd(centered, full_matrices=False)
    size = min(2, len(scale))
    points = np.zeros((len(rows), 2))
    points[:, :size] = left[:, :size] * scale[:size]
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    points *= np.where(largest < 0, -1.0, 1.0)
    shares = np.zeros(2)
    shares[:size] = scale[:size] ** 2 / max(float((scale**2).sum()), 1e-30)
    return points, shares


def _draw_groups(axes: "Axes", points: np.ndarray, groups: Sequence[str] | None) -> list[str]:
    """Scatter the points, with a legend where there are groups; the colour of each point."""
    names = np.array(["" if groups is None else group for group in (groups or [""] * len(points))])
    distinct, counts = np.unique(names, return_counts=True)
    ranked = [str(name) for name in distinct[np.argsort(-counts, kind="stable")]]
    kept = ranked if len(ranked) <= len(PALETTE) else ranked[: len(PALETTE) - 1]
    colour_of = dict(zip(kept, PALETTE, strict=False))
    for name in kept:
        here = points[names == name]
        axes.scatter(here[:, 0], here[:, 1], s=14, color=colour_of[name], linewidth=0, label=name)
    rest = ~np.isin(names, kept)
    if rest.any():
        axes.scatter(
            *points[rest].T,
            s=10,
            color=FAINT,
            linewidth=0,
            label=f"{len(ranked) - len(kept)} others",
        )
    if groups is not None:
        axes.legend(
            fontsize=7,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            handletextpad=0.2,
        )
    return [INK if groups is None else colour_of.get(str(name), FAINT) for name in names]


def _name_points(
    figure: "Figure", axes: "Axes", keys: Sequence[str], points: np.ndarray, colours: Sequence[str]
) -> int:
    """Write keys beside their points, earlier first, where there is room.

    Returns:
        How many keys have a letter that the font lacks; those are not written.
    """
    from matplotlib.patheffects import withStroke

    figure.draw_without_rendering()  # the layout decides where the points are, and is not to measure their names too
    figure.set_layout_engine("none")
    frame = axes.get_window_extent()
    writable = drawable()
    halo = [withStroke(linewidth=2, foreground="white")]
    taken = np.empty((0, 4))
    unwritable = 0
    for key, point, place, colour in zip(keys, points, axes.transData.transform(points), colours, strict=True):
        if not writable.issuperset(map(ord, key)):
            unwritable += 1
            continue
        boxes = ((side, _text_box(key, place, side)) for side in SIDES)
        inside = ((side, box) for side, box in boxes if frame.x0 < box[0] and box[2] < frame.x1)
        side, box = next((found for found in inside if not _overlaps(found[1], taken)), (None, None))
        if side is None or box is None:
            continue
        taken = np.vstack([taken, box])
        axes.annotate(
            key,
            point,
            xytext=(GAP * side[0], GAP * side[1]),
            textcoords="offset points",
            ha=HORIZONTAL[side[0]],
            va=VERTICAL[side[1]],
            fontsize=FONT_SIZE,
            color=colour if colour != FAINT else INK,
            parse_math=False,
            path_effects=halo,
        )
    return unwritable


def _text_box(text: str, place: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Left, bottom, right, top in pixels of about the room that a name needs at a side of its point."""
    em = FONT_SIZE * DPI / 72
    size = np.array([0.62 * em * len(text), 1.16 * em])
    center = place + np.array(side) * (GAP * DPI / 72 + size / 2)
    return np.concatenate([center - size / 2, center + size / 2])


def _overlaps(box: np.ndarray, others: np.ndarray) -> bool:
    """Whether a (4,) box meets any of (n, 4)."""
    apart = (others[:, :2] >= box[2:]) | (box[:2] >= others[:, 2:])
    return bool((~apart.any(axis=1)).any())


def drawable() -> frozenset[int]:
    """Code points of the font that matplotlib brings; others would become boxes, with a warning."""
    from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap())
