"""Commands that put versions side by side: compare, diff."""

from typing import Any, get_args

import click

from registry.commands.base import Output, command
from registry.judging.diff import Alignment, Neighborhoods
from registry.show import terminal
from registry.store import Store

task_option = click.option("--task", help="Only this one: user_topic.v1 or, for whichever protocol, user_topic.")


@command("embeddings compare 'word/*@latest' --task stability")
@click.argument("patterns", nargs=-1, required=True)
@task_option
def compare(store: Store, out: Output, patterns: tuple[str, ...], task: str | None) -> None:
    """List scores of several versions, best first. A pattern is a reference with * and ?."""
    rows = store.compare(patterns, task).to_pylist()
    shown = [row | {"best": "*" if row["best"] else None} for row in rows]
    out.emit(rows, lambda: terminal.table_of(shown, "none of them has a score yet"))


@command("embeddings diff word/word@v11 word/word@v12 --align procrustes --most 5")
@click.argument("before")
@click.argument("after")
@click.option("--align", type=click.Choice(get_args(Alignment)), help="Needed where the versions lie in two spaces.")
@click.option("--sample", default=1000, show_default=True, help="Keys whose neighbours are compared.")
@click.option("-k", "--count", "k", default=10, show_default=True, help="Neighbours of each.")
@click.option("--most", default=10, show_default=True, help="How many of the keys that moved most to list.")
def diff(store: Store, out: Output, before: str, after: str, **asked: Any) -> None:
    """Show what changed between two versions. Keys added and gone, movement, neighbours kept."""
    around = Neighborhoods(sample=asked["sample"], k=asked["k"])
    found = store.diff(before, after, align=asked["align"], around=around)
    moved = found.most_moved(asked["most"]).to_pylist()
    keys = {"added": found.added.to_pylist(), "gone": found.gone.to_pylist()}
    out.emit(
        {"summary": found.summary, **keys, "most_moved": moved, "neighbors": found.neighbors.to_pylist()},
        lambda: terminal.facts_of(found.summary),
        lambda: terminal.table_of(moved, "they share no key"),
    )
