"""Scores of several versions side by side: one table, and that table drawn with tasks down, embeddings across."""

import difflib
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from registry.errors import UnknownTask
from registry.logs.catalog import Catalog
from registry.logs.resolve import expand
from registry.logs.scores import is_task
from registry.records import Score, VersionInfo

#: One row a score. `best` marks the largest value of its task and metric, where at least two
#: embeddings have one; larger is better for every metric.
SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("embedding", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("floor", pa.float64()),
        pa.field("best", pa.bool_(), nullable=False),
        pa.field("rows_used", pa.int64(), nullable=False),
        pa.field("undefined", pa.string()),
    ]
)
DASH = "–"


def compare(catalog: Catalog, pattern: str | Sequence[str], task: str | None = None) -> pa.Table:
    """Scores of the versions that `pattern` names, best first within task and metric; see `Store.compare`."""
    table = score_table(recorded_scores(catalog, pattern, task))
    return table.sort_by([("task", "ascending"), ("metric", "ascending"), ("value", "descending")])


def recorded_scores(catalog: Catalog, pattern: str | Sequence[str], task: str | None = None) -> dict[str, list[Score]]:
    """Exact reference of each version that a pattern, or several, name -> its scores.

    Raises:
        UnknownTask: none of them has a score of `task`; the message lists the tasks they have.
    """
    patterns = [pattern] if isinstance(pattern, str) else pattern
    infos = {info.reference: info for one in patterns for info in expand(catalog, one)}
    found = {reference: catalog.scores(info) for reference, info in infos.items()}
    if task is None:
        return found
    chosen = {name: [score for score in scores if is_task(score, task)] for name, scores in found.items()}
    if not any(chosen.values()):
        raise UnknownTask(_no_task(task, infos, found))
    return chosen


def score_table(scores_by_version: Mapping[str, Sequence[Score]]) -> pa.Table:
    """All scores in one table of `SCHEMA`, by task and metric, embeddings in the order given.

    Args:
        scores_by_version: version reference, such as `word/word@v8`, -> its scores, oldest first;
            of several scores for one task and metric the last one counts.
    """
    cells = {
        (score.task, score.metric, embedding): score
        for embedding, scores in scores_by_version.items()
        for score in scores
    }
    values: dict[tuple[str, str], list[float]] = {}
    for (task, metric, _), score in cells.items():
        if score.value is not None:
            values.setdefault((task, metric), []).append(score.value)
    best = {row: max(found) for row, found in values.items() if len(found) > 1}
    rows = [
        {
            **{name: getattr(score, name) for name in SCHEMA.names if name not in ("embedding", "best")},
            "embedding": embedding,
            "best": score.value is not None and score.value == best.get((task, metric)),
        }
        for (task, metric, embedding), score in sorted(cells.items(), key=lambda cell: cell[0][:2])
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Scores with tasks down and embeddings across; `print` draws it, a notebook shows it.

    Attributes:
        table: one row a score, of `SCHEMA`.
        embeddings: the columns in their order: every version that has a score.
    """

    table: pa.Table
    embeddings: tuple[str, ...]

    @classmethod
    def of(cls, scores_by_version: Mapping[str, Sequence[Score]]) -> "Leaderboard":
        """See `score_table`."""
        return cls(score_table(scores_by_version), tuple(name for name, found in scores_by_version.items() if found))

    def __str__(self) -> str:
        """Aligned columns for a terminal; best marked by a star, reasons for gaps below."""
        header, rows, notes = self._grid(emphasis=lambda text: f"{text} *")
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        rule = ["-" * width for width in widths]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (header, rule, *rows)
        ]
        return "\n".join(lines + notes)

    def to_markdown(self) -> str:
        """A markdown table; best in bold, undefined as a dash with its reason below."""
        header, rows, notes = self._grid(emphasis=lambda text: f"**{text}**")
        lines = [header, ["---"] * len(header), *rows]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return "\n\n".join([table, *notes]) + "\n"

    def _repr_html_(self) -> str:
        header, rows, notes = self._grid(emphasis=lambda text: f"{text} ★")
        lines = [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{below}"

    def _grid(self, *, emphasis: Callable[[str], str]) -> tuple[list[str], list[list[str]], list[str]]:
        """Header, rows of cells and footnotes; equal reasons share a footnote."""
        records = self.table.to_pylist()
        cells = {(record["task"], record["metric"], record["embedding"]): record for record in records}
        reasons = list(dict.fromkeys(record["undefined"] for record in records if record["value"] is None))
        number = {reason: at for at, reason in enumerate(reasons, start=1)}

        def cell(key: tuple[str, str, str]) -> str:
            record = cells.get(key)
            if record is None:  # the task does not judge this entity
                return ""
            if record["value"] is None:
                return f"{DASH} [{number[record['undefined']]}]"
            return _number(record, emphasis=emphasis)

        lines = dict.fromkeys((record["task"], record["metric"]) for record in records)
        rows = [
            [f"{task} {metric}", *(cell((task, metric, name)) for name in self.embeddings)] for task, metric in lines
        ]
        notes = [f"[{number[reason]}] {reason or 'no reason was recorded'}" for reason in reasons]
        return ["task", *self.embeddings], rows, notes


def _number(record: Mapping[str, float | bool | None], *, emphasis: Callable[[str], str]) -> str:
    """Such as `0.412 [0.351, 0.465] floor 0.010`."""
    value = f"{record['value']:.3f}"
    parts = [emphasis(value) if record["best"] else value]
    if record["low"] is not None and record["high"] is not None:
        parts.append(f"[{record['low']:.3f}, {record['high']:.3f}]")
    if record["floor"] is not None:
        parts.append(f"floor {record['floor']:.3f}")
    return " ".join(parts)


def _no_task(task: str, infos: Mapping[str, VersionInfo], found: Mapping[str, Sequence[Score]]) -> str:
    known = sorted({score.task for scores in found.values() for score in scores})
    close = difflib.get_close_matches(task, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"their tasks: {', '.join(known) or 'none yet'}"
    return f"no score of task {task!r:.80} on {', '.join(list(infos)[:5])}{', ...' if len(infos) > 5 else ''}; {hint}"
