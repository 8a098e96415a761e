"""Scores of several versions side by side: tasks down, embeddings across."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from registry.records import Score
from registry.store import Store

#: One row a score that stands on the board. `best` marks the largest value of its task and metric,
#: where at least two embeddings have one.
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


def latest_scores(store: Store, entity: str | None = None) -> dict[str, list[Score]]:
    """Reference of each embedding's newest version -> its scores; input of `leaderboard`."""
    newest = (store[name] for name in store.names(entity))
    return {version.reference: version.scores() for version in newest}


def leaderboard(scores_by_version: Mapping[str, Sequence[Score]]) -> pa.Table:
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


def to_markdown(board: pa.Table) -> str:
    """The board as a markdown table; best in bold, undefined as a dash with its reason below."""
    header, rows, notes = _grid(board, emphasis=lambda text: f"**{text}**")
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    return "\n\n".join([table, *notes]) + "\n"


def to_text(board: pa.Table) -> str:
    """The board with aligned columns for a terminal; best marked by a star."""
    header, rows, notes = _grid(board, emphasis=lambda text: f"{text} *")
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, rule, *rows)
    ]
    return "\n".join(lines + notes) + "\n"


def _grid(board: pa.Table, *, emphasis: Callable[[str], str]) -> tuple[list[str], list[list[str]], list[str]]:
    """Header, rows of cells and footnotes; equal reasons share a footnote."""
    records = board.to_pylist()
    embeddings = list(dict.fromkeys(record["embedding"] for record in records))
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
    rows = [[f"{task} {metric}", *(cell((task, metric, name)) for name in embeddings)] for task, metric in lines]
    notes = [f"[{number[reason]}] {reason or 'no reason was recorded'}" for reason in reasons]
    return ["task", *embeddings], rows, notes


def _number(record: Mapping[str, float | bool | None], *, emphasis: Callable[[str], str]) -> str:
    """Such as `0.412 [0.351, 0.465] floor 0.010`."""
    value = f"{record['value']:.3f}"
    parts = [emphasis(value) if record["best"] else value]
    if record["low"] is not None and record["high"] is not None:
        parts.append(f"[{record['low']:.3f}, {record['high']:.3f}]")
    if record["floor"] is not None:
        parts.append(f"floor {record['floor']:.3f}")
    return " ".join(parts)
