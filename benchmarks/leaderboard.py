"""The paper's Table 1 for what is in a registry: tasks down, embeddings across, best in bold; and its picture."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmarks.drawing import FAINT, INK, LINE, figure_of, plain, png
from benchmarks.task import Task
from registry import Store
from registry.judging.compare import Leaderboard
from registry.records import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of the paper's table, which come first and in its order.
FIRST = ("User Topic Prediction", "Metadata Prediction", "User Follow Jaccard")


def table_one(store: Store, tasks: Mapping[str, Task], names: Sequence[str] | None = None) -> Leaderboard:
    """Headline scores of the newest version of every embedding.

    An embedding's entities share its column, since most tasks judge one of them; where several have a
    score for a task, there is a row for each.

    Args:
        store: the registry.
        tasks: id -> task; those with a title are shown.
        names: embeddings such as `user/consumer_producer`; None takes all that the registry has.
    """
    found: dict[str, list[tuple[str, Score]]] = {}
    for name in store.names() if names is None else names:
        entity, _, product = name.partition("/")
        found.setdefault(product, []).extend((entity, score) for score in headline_scores(store, tasks, name))
    return arranged(_with_titles(found, tasks))


def headline_scores(store: Store, tasks: Mapping[str, Task], name: str) -> list[Score]:
    """What the leaderboard shows of one embedding's newest version.

    A task that asks about the following week has judged an earlier version: the newest that it could.
    """
    recent = _recent(store, name, 1 + max((task.judges for task in tasks.values()), default=0))
    scores: list[Score] = []
    for task in (task for task in tasks.values() if task.title):
        pattern = task.headline or task.metrics[0]
        by_version = [
            [score for score in found if score.task == task.id and fnmatchcase(score.metric, pattern)]
            for found in recent[: 1 + task.judges]
        ]
        valued = [found for found in by_version if any(score.value is not None for score in found)]
        scores += next(iter(valued or filter(None, by_version)), [])
    return scores


def _recent(store: Store, name: str, weeks: int) -> list[list[Score]]:
    """Scores of the newest version and of those of the weeks before, newest first; versions that are gone left out."""
    infos = sorted(store.versions(name), key=lambda info: (info.week or "", info.number))
    newest = {info.week: info.reference for info in infos if info.reference in store}  # of a week the last one
    return [store[reference].scores() for reference in list(newest.values())[: -1 - weeks : -1]]


def _with_titles(found: Mapping[str, Sequence[tuple[str, Score]]], tasks: Mapping[str, Task]) -> dict[str, list[Score]]:
    """Scores under their task's title, with the entity added where an embedding has the same score for several."""
    entities: dict[tuple[str, str], set[str]] = {}
    for scores in found.values():
        for entity, score in scores:
            entities.setdefault((score.task, score.metric), set()).add(entity)

    def title(score: Score, entity: str) -> str:
        name = tasks[score.task].title
        return f"{name} ({entity})" if len(entities[score.task, score.metric]) > 1 else name

    return {
        product: [replace(score, task=title(score, entity)) for entity, score in scores]
        for product, scores in found.items()
    }


def arranged(scores: Mapping[str, Sequence[Score]]) -> Leaderboard:
    """The paper's rows first, then the others by name."""
    board = Leaderboard.of(scores)
    titles = board.table["task"].to_pylist()
    place = {title: at for at, title in enumerate(FIRST)}
    order = sorted(range(len(titles)), key=lambda row: place.get(titles[row].partition(" (")[0], len(FIRST)))
    return Leaderboard(board.table.take(pa.array(order, pa.int64())), board.embeddings)


def leaderboard_png(board: Leaderboard, title: str = "Table 1") -> bytes:
    """One panel a row of the table: value with interval, and floor, of each embedding; the best one dark.

    Args:
        board: of `table_one`.
        title: shown above.
    """
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in board.table.to_pylist():
        if record["value"] is not None:
            rows.setdefault((record["task"], record["metric"]), []).append(record)
    columns = min(3, max(1, len(rows)))
    lines = max(1, -(-len(rows) // columns))
    most = max((len(found) for found in rows.values()), default=1)
    figure = figure_of(3.6 * columns, (0.6 + 0.24 * most) * lines + 0.5)
    figure.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    for at, ((task, metric), found) in enumerate(rows.items(), start=1):
        axes = figure.add_subplot(lines, columns, at)
        axes.set_title(f"{task}  {metric}", fontsize=8.5, color=INK, loc="left")
        _draw_row(axes, sorted(found, key=lambda record: record["value"]))
    return png(figure)


def _draw_row(axes: "Axes", records: Sequence[Mapping[str, Any]]) -> None:
    """Embeddings from the best down; a line is the 95% interval, a grey bar the floor."""
    for at, record in enumerate(records):
        colour = INK if record["best"] else LINE
        if record["low"] is not None and record["high"] is not None:
            axes.hlines(at, record["low"], record["high"], color=colour, linewidth=1.6, alpha=0.6)
        axes.plot(record["value"], at, "o", color=colour, markersize=5)
        if record["floor"] is not None:
            axes.plot(record["floor"], at, "|", color=FAINT, markersize=9, markeredgewidth=2)
        axes.annotate(
            f"{record['value']:.3f}",
            (record["value"], at),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=colour,
            fontweight="bold" if record["best"] else "normal",
        )
    axes.set_yticks(np.arange(len(records)), [record["embedding"] for record in records])
    axes.set_ylim(-0.6, len(records) - 0.2)
    axes.margins(x=0.12)
    plain(axes)
