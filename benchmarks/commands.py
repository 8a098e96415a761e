"""The command that shows the paper's Table 1 in a terminal."""

import click

from benchmarks.leaderboard import table_one
from benchmarks.runner import discover
from registry import Store
from registry.commands.base import Output, command
from registry.commands.compare import task_option
from registry.show import terminal


@command("embeddings leaderboard")
@click.argument("patterns", nargs=-1)
@task_option
def leaderboard(store: Store, out: Output, patterns: tuple[str, ...], task: str | None) -> None:
    """Show tasks down and embeddings across, the best marked.

    Without PATTERNS, the headline metric of every task on the newest versions; with them, or with --task, every
    metric of the versions that they name.
    """
    board = store.leaderboard(patterns or "*/*@latest", task) if patterns or task else table_one(store, discover())
    out.emit(board.table.to_pylist(), lambda: terminal.plain_lines(str(board)))
