"""Tables, trees and sentences for a terminal; Rich is loaded when the first one is drawn.

Nothing is ever cut: a terminal folds long cells, a pipe has no width at all.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from registry.records import Score, Upstream

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

Row = Mapping[str, Any]


def draw(parts: Iterable["RenderableType"]) -> None:
    """Print the parts one below the other on standard output."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(*parts, sep="\n")
        return
    # A pipe: nothing may be coloured, wrapped or padded on its way to grep.
    console = Console(highlight=False, color_system=None, width=1_000_000)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table_of(rows: Sequence[Row], otherwise: str) -> "RenderableType":
    """A table without its empty columns; where there are no rows, the sentence `otherwise`."""
    from rich.table import Table

    if not rows:
        return plain(otherwise)
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        number = all(type(row[name]) in (int, float, type(None)) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(plain(_cell(row[name])) for name in names))
    return table


def facts_of(facts: Row) -> "RenderableType":
    """Two columns, name and value; what is inside a value has a line of its own."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _flat(facts):
        table.add_row(plain(name), plain(_cell(value)))
    return table


def scores_of(scores: Sequence[Score], otherwise: str) -> "RenderableType":
    """One line per score, with the reason where there is no value."""
    rows = [
        {
            "task": score.task,
            "metric": score.metric,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "floor": score.floor,
            "rows": score.rows_used,
            "left out": score.rows_left_out,
            "undefined because": score.undefined,
        }
        for score in scores
    ]
    return table_of(rows, otherwise)


def lineage_of(reference: str, made_from: Upstream | None) -> "RenderableType":
    """The version at the root, raw partitions at the leaves."""
    from rich.tree import Tree

    tree = Tree(plain(reference))
    if made_from is None:
        tree.add("no lineage was recorded")
    else:
        _grow(tree, made_from, set())
    return tree


def plain(text: str) -> "RenderableType":
    """Text in which a key is neither markup nor a command to the terminal."""
    from rich.text import Text

    return Text("".join(char if char.isprintable() else ascii(char)[1:-1] for char in text))


def _flat(facts: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        elif value not in (None, [], ()):
            yield prefix + name, value


def _grow(tree: "Tree", node: Upstream, shown_nodes: set[Upstream]) -> None:
    """Add `node` and what it was made from; a node that stands in the tree already is not unfolded again."""
    facts = {
        "partition": node.partition,
        "data": node.data_version and node.data_version[:12],
        "code": node.code_version,
        "run": node.run_id,
    }
    shown = " ".join(f"{name}={value}" for name, value in facts.items() if value)
    seen_before = node in shown_nodes and bool(node.upstream)
    branch = tree.add(plain(f"{node.asset} {shown}{' (see above)' if seen_before else ''}".strip()))
    shown_nodes.add(node)
    for upstream in () if seen_before else node.upstream:
        _grow(branch, upstream, shown_nodes)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if value % 1 or abs(value) < 1 else f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, np.ndarray):
        return " ".join(f"{number:.6g}" for number in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
