"""The registry against Annoy, a dict, Parquet and gensim's KeyedVectors: speed with recall and memory beside it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.speed import registry_neighbors, registry_reading
from tests.speed.registry_world import World

ROWS = registry_neighbors.ROWS | registry_reading.ROWS
NAMES = tuple(ROWS)


def compare(_data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`; `ratio` is what the bar is about, `met` whether it holds."""
    world = World()
    try:
        for name, row in ROWS.items():
            if only is None or name in only:
                yield {"row": name, **row(world, rounds)}
    finally:
        world.close()


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    title = (ROWS[line["row"]].__doc__ or "").partition("\n")[0]
    state = "met" if line["met"] else "NOT MET"
    sides = [f"  {side:<5}{json.dumps(line[side])}" for side in ("ours", "peer") if line[side]]
    rest = {name: value for name, value in line.items() if name not in ("row", "ratio", "bar", "met", "ours", "peer")}
    return "\n".join(
        [
            f"{line['row']}: {title}",
            *sides,
            f"  ratio {line['ratio']} (bar {line['bar']}): {state}",
            *([f"  {json.dumps(rest)}"] if rest else []),
        ]
    )
