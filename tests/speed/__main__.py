"""`python -m tests.speed [BENCH ...] [--json] [--rounds N] [--row NAME]`: our speed beside a peer's, at equal quality.

Without a name every bench runs; `make speed` installs the peers first. Needs the dependency group `speed`
and the shared data (`REAL_DATA`, default `../shared/data`).
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

#: Each is a module beside this one, with the peers that it needs: `NAMES` are its rows, `compare(data, rounds=, only=)`
#: yields them, `as_table(row)` draws one.
BENCHES = {
    "registry": ["gensim", "usearch"],
    "sgns": ["gensim"],
    "pairs": [],
    "svd": ["sklearn"],
    "als": ["implicit"],
}


def main() -> int:
    """Run the benches and print tables or, with `--json`, one object a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("bench", nargs="*", metavar="BENCH", help=f"one of {', '.join(BENCHES)}; by default all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds, each a seed")
    parser.add_argument("--row", action="append", help="only this row; may be repeated")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.bench) - set(BENCHES)):
        parser.error(f"no bench {', '.join(unknown)}; there is {', '.join(BENCHES)}")
    benches = chosen.bench or list(BENCHES)
    missing = sorted({peer for bench in benches for peer in BENCHES[bench] if importlib.util.find_spec(peer) is None})
    if missing:
        print(f"missing peers: {', '.join(missing)}; run `make speed`, or `uv sync --group speed`", file=sys.stderr)
        return 2
    data = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not data.is_dir():
        print(f"no real data at {data} (set REAL_DATA)", file=sys.stderr)
        return 2
    modules = [importlib.import_module(f"tests.speed.{name}") for name in benches]
    names = [name for bench in modules for name in bench.NAMES]
    if unknown := sorted(set(chosen.row or ()) - set(names)):
        parser.error(f"no row {', '.join(unknown)}; there is {', '.join(names)}")
    for bench in modules:
        rows = [name for name in bench.NAMES if name in (chosen.row or names)]
        for line in bench.compare(data, rounds=chosen.rounds, only=rows) if rows else ():
            print(json.dumps(line) if chosen.json else bench.as_table(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
