"""How all pictures look, and how a figure becomes a small PNG. matplotlib is loaded on first use."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 90
INK, FAINT, LINE = "#22303c", "#9aa7b2", "#1f6fb4"


def figure_of(width: float, height: float) -> "Figure":
    """An empty figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def panels_of(count: int, columns: int, title: str, *, between: float = 0.35) -> "tuple[Figure, list[Axes]]":
    """A titled figure with equal panels, row after row, at least one row.

    Margins are fixed: matplotlib's own layout draws all text several times to measure it, which takes longer
    than the picture.

    Args:
        count: of panels.
        columns: panels in a row; the last row may have fewer.
        title: shown above.
        between: inches between two rows; 0.35 holds a panel's title, 0.8 slanted dates as well.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    wide, high, left, right, top, bottom = 2.8, 1.5, 0.5, 0.1, 0.6, 0.65  # inches
    rows = max(1, -(-count // columns))
    width = left + columns * wide + (columns - 1) * left + right
    height = top + rows * high + (rows - 1) * between + bottom
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left", y=1 - 0.08 / height, va="top")
    figure.subplots_adjust(
        left / width, bottom / height, 1 - right / width, 1 - top / height, left / wide, between / high
    )
    axes = [figure.add_subplot(rows, columns, at + 1) for at in range(count)]
    for one in axes:
        one.yaxis.set_major_locator(MaxNLocator(4))
    return figure, axes


def plain(axes: "Axes") -> None:
    """Light grid, no box, small ticks."""
    axes.grid(visible=True, color="#e6ebef", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=7, colors=INK, length=2)


def png(figure: "Figure") -> bytes:
    """Render with Agg in 128 colours: a third of the bytes, and no library version inside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # matplotlib brings it along

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
