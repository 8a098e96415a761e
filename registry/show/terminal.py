"""Tables, trees and sentences for a terminal; Rich is loaded when the first one is drawn.

Nothing is ever cut: a terminal folds long cells, a pipe has no width at all.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from registry.records import Score, Upstream
from registry.show.cards import (
    Card,
    Row,
    cell_text,
    flat_facts,
    is_number_column,
    node_text,
    printable,
    score_rows,
    used_columns,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree


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
    names = used_columns(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        justify = "right" if is_number_column(rows, name) else "left"
        table.add_column(name, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell_text(row[name])) for name in names))
    return table


def facts_of(facts: Row) -> "RenderableType":
    """Two columns, name and value; what is inside a value has a line of its own."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in flat_facts(facts):
        table.add_row(plain(name), plain(cell_text(value)))
    return table


def scores_of(scores: Sequence[Score], otherwise: str) -> "RenderableType":
    """One line per score, with the reason where there is no value."""
    return table_of(score_rows(scores), otherwise)


def lineage_of(reference: str, made_from: Upstream | None) -> "RenderableType":
    """The version at the root, raw partitions at the leaves."""
    from rich.tree import Tree

    tree = Tree(plain(reference))
    if made_from is None:
        tree.add("no lineage was recorded")
    else:
        _grow(tree, made_from, set())
    return tree


def card_of(card: Card) -> "RenderableType":
    """What a store, an embedding or a version shows of itself."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(printable(card.title), style="bold")]
    if card.facts:
        parts.append(facts_of(card.facts))
    for caption, rows in card.tables.items():
        if rows:
            parts += [Text(f"\n{caption}", style="bold"), table_of(rows, "")]
    if card.lineage is not None:
        parts += [Text(""), lineage_of("lineage", card.lineage)]
    return Group(*parts)


def plain(text: str) -> "RenderableType":
    """Text in which a key is neither markup nor a command to the terminal."""
    from rich.text import Text

    return Text(printable(text))


def plain_lines(text: str) -> "RenderableType":
    """Several such lines, which keep their breaks and their columns."""
    from rich.console import Group

    return Group(*map(plain, text.splitlines()))


def _grow(tree: "Tree", node: Upstream, shown_nodes: set[Upstream]) -> None:
    """Add `node` and what it was made from; a node that stands in the tree already is not unfolded again."""
    seen_before = node in shown_nodes and bool(node.upstream)
    branch = tree.add(plain(node_text(node) + (" (see above)" if seen_before else "")))
    shown_nodes.add(node)
    for upstream in () if seen_before else node.upstream:
        _grow(branch, upstream, shown_nodes)
