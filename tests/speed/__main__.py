"""`python -m tests.speed [sgns] [--json] [--rounds N] [--row NAME]`: our speed beside a peer's, at equal quality.

Without a name every bench runs; `make speed` installs the peers first. Needs the dependency group `speed`
and the shared data (`REAL_DATA`, default `../shared/data`).
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

from tests.speed import sgns

BENCHES = {"sgns": sgns.compare}


def main() -> int:
    """Run one bench and print a table or, with `--json`, one object a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("bench", nargs="*", metavar="BENCH", help=f"one of {', '.join(BENCHES)}; by default all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds, each a seed")
    parser.add_argument("--row", action="append", help="only this row; may be repeated")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.bench) - set(BENCHES)):
        parser.error(f"no bench {', '.join(unknown)}; there is {', '.join(BENCHES)}")
    if importlib.util.find_spec("gensim") is None:
        print("the peer gensim is not installed: run `make speed`, or `uv sync --group speed`", file=sys.stderr)
        return 2
    data = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not data.is_dir():
        print(f"no real data at {data} (set REAL_DATA)", file=sys.stderr)
        return 2
    for bench in chosen.bench or BENCHES:
        for line in BENCHES[bench](data, rounds=chosen.rounds, only=chosen.row):
            print(json.dumps(line) if chosen.json else sgns.as_table(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
