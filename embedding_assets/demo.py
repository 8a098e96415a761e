"""`make demo`: eight weeks of every embedding on the synthetic source, through Dagster, then a look at the result.

`python -m embedding_assets.demo word tag` makes only those that are named.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.leaderboard import table_one
from benchmarks.runner import discover
from embedding_assets.demo_weeks import RunFailedError, materialize
from embedding_assets.embeddings import all_specs
from embedding_assets.reach import suggest
from embedding_assets.records import Week
from embedding_assets.settings import SettingError, Settings
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.sources.schema import Source, shift_week
from embedding_assets.sources.select import open_source
from embedding_assets.spec import SpecError
from registry import Store, open_registry
from registry.judging.compare import Leaderboard

WEEKS = 8
PRINTED_COLUMNS = 120  # where the output is no terminal
WORDS = "word/word"  # of which neighbours are shown, where it has been made
SHOWN_WORDS = 3
SHOWN_MOVED = 2
NEIGHBORS = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then show scores, neighbours and the registry."""
    names = named(arguments)
    environ = {name: value for name, value in os.environ.items() if name != "EMBEDDINGS_SOURCE"}
    settings = Settings.read(environ)
    source = open_source(environ, settings.home)
    weeks = [shift_week(source.first_week, index) for index in range(WEEKS)]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PRINTED_COLUMNS)
    console.print(
        f"[bold]{WEEKS} weeks ({weeks[0]} to {weeks[-1]}) of the {source.name} source, into {settings.home}[/]"
    )
    started = time.monotonic()
    made = materialize(environ, weeks, names)
    spent = time.monotonic() - started
    console.print(f"{made} weeks materialised in {spent:.0f} s" if made else "everything is there already")
    show(console, open_registry(settings.home / "registry"), source, weeks)


def named(arguments: Sequence[str] | None) -> list[str]:
    """The embeddings that the command line names; all of them where it names none.

    Raises:
        SpecError: there is no embedding of that name.
    """
    parser = argparse.ArgumentParser(prog="python -m embedding_assets.demo", description=__doc__)
    parser.add_argument("embedding", nargs="*", help="such as word; all of them where none is named")
    asked = parser.parse_args(arguments).embedding
    known = {spec.name: spec for spec in all_specs()}
    if unknown := [name for name in asked if name not in known]:
        raise SpecError(f"no embedding {unknown[0]!r}{suggest(unknown[0], known)}")
    return [name for name in known if not asked or name in asked]


def show(console: Console, store: Store, source: Source, weeks: list[Week]) -> None:
    """Print the leaderboard, neighbours in the first and the last week, the registry, and what to do next."""
    words = shown_words(store, source, weeks) if WORDS in store.names() else {}
    console.rule("Table 1: the newest versions")
    console.print(board_table(table_one(store, discover())))
    if words:
        console.rule("neighbours, first and last week")
        console.print(neighbors_table(store, words, weeks))
    console.rule("the registry")
    console.print(registry_table(store))
    console.rule("what next")
    name = f"{WORDS if words else store.names()[0]}@latest"
    key = next(iter(words or store[name].keys().to_pylist()))
    console.print("[bold]make dev[/] opens the UI on http://127.0.0.1:3000; in Python:")
    console.print(
        "    from registry import open_registry\n"
        f'    version = open_registry("{store.root}")["{name}"]\n'
        f'    version.lookup(["{key}"]), version.neighbors("{key}", k=5)'
    )


def board_table(board: Leaderboard) -> Table:
    """Tasks that have a value down, embeddings across; `embeddings leaderboard` has intervals, floors and reasons."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("task", no_wrap=True)
    for name in board.embeddings:
        table.add_column(name.replace("_", " "))
    cells = {(row["task"], row["metric"], row["embedding"]): row for row in board.table.to_pylist()}
    for task, metric in dict.fromkeys((task, metric) for task, metric, _ in cells):
        found = [_cell(cells.get((task, metric, name))) for name in board.embeddings]
        if any(found):
            table.add_row(task, *found)
    return table


def _cell(row: Mapping[str, Any] | None) -> str:
    """A value, the best with a star; nothing where there is none."""
    if row is None or row["value"] is None:
        return ""
    text = f"{row['value']:.3f}".lstrip("0")
    return f"[bold]{text}*[/]" if row["best"] else text


def shown_words(store: Store, source: Source, weeks: list[Week]) -> dict[str, str]:
    """A few English words that both weeks know -> their label; the last two have moved in between."""
    first, last = (set(store[f"{WORDS}@{week}"].keys().to_pylist()) for week in (weeks[0], weeks[-1]))
    moved = source.read("truth_moved_words", weeks[-1]).rows["word"].to_pylist()
    truth = source.read("truth_words", weeks[-1]).rows.to_pylist()
    english = [row["word"] for row in truth if row["lang"] == "en" and row["word"] in first & last]
    steady = [word for word in english if word not in moved]
    some = steady[:: max(1, len(steady) // SHOWN_WORDS)][:SHOWN_WORDS]
    known = [word for word in moved if word in english][:SHOWN_MOVED]
    return {word: word for word in some} | {word: f"{word} (moved)" for word in known}


def neighbors_table(store: Store, words: Mapping[str, str], weeks: list[Week]) -> Table:
    """Nearest words of each word in the first and the last week."""
    versions = [store[f"{WORDS}@{week}"] for week in (weeks[0], weeks[-1])]
    table = Table("word", weeks[0], weeks[-1], box=None)
    for word, label in words.items():
        near = [", ".join(version.neighbors(word, k=NEIGHBORS).keys[0]) for version in versions]
        table.add_row(label, *near)
    return table


def registry_table(store: Store) -> Table:
    """One row an embedding: its newest version and how many there are."""
    table = Table("embedding", "versions", "newest", "week", "keys", "dim", box=None)
    for name in store.names():
        newest = store[f"{name}@latest"]
        table.add_row(
            name,
            str(len(store.versions(name))),
            f"v{newest.number}",
            newest.week,
            f"{len(newest):,}",
            str(newest.dim),
        )
    return table


if __name__ == "__main__":
    try:
        main()
    except (RunFailedError, SettingError, SourceError, SpecError) as error:
        sys.exit(f"error: {error}")
