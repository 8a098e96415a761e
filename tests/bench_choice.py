"""What `python -m tests.speed` and `python -m tests.quality` share: which benches are asked for, and all they need."""

import argparse
import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

#: Each bench with the peers that it runs.
Benches = Mapping[str, Sequence[str]]


def parser_of(package: str, about: str | None, benches: Benches) -> argparse.ArgumentParser:
    """Arguments `bench` and `json` of `python -m <package>`."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    parser.add_argument("bench", nargs="*", metavar="BENCH", help=f"one of {', '.join(benches)}; by default all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def opened(
    parser: argparse.ArgumentParser, package: str, benches: Benches, asked: Sequence[str]
) -> tuple[list[ModuleType], Path]:
    """The modules `<package>.<bench>` that were asked for, by default all, and the folder of the real data.

    Ends the program with status 2 where a bench, a peer or the data is not there.
    """
    if unknown := sorted(set(asked) - set(benches)):
        parser.error(f"no bench {', '.join(unknown)}; there is {', '.join(benches)}")
    chosen = asked or list(benches)
    missing = sorted({peer for bench in chosen for peer in benches[bench] if importlib.util.find_spec(peer) is None})
    if missing:
        parser.exit(2, f"missing peers: {', '.join(missing)}; run `make speed`, or `uv sync --group speed`\n")
    data = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not data.is_dir():
        parser.exit(2, f"no real data at {data} (set REAL_DATA)\n")
    return [importlib.import_module(f"{package}.{name}") for name in chosen], data
