"""`python -m tests.quality [BENCH ...] [--json]`: our vectors of real graphs beside what off-the-shelf libraries reach.

Needs the shared data (`REAL_DATA`, default `../shared/data`); the bench `walks` needs gensim too (`make speed`
installs it).
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

#: Each is a module beside this one, with the peers that it runs: `compare(data)` yields rows.
BENCHES = {"twitch": [], "deezer": [], "walks": ["gensim"]}


def main() -> int:
    """Run the benches and print a table or, with `--json`, one object a line; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("bench", nargs="*", metavar="BENCH", help=f"one of {', '.join(BENCHES)}; by default all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
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
    modules = [importlib.import_module(f"tests.quality.{name}") for name in benches]
    if not chosen.json:
        print(f"{'row':<44}{'ours':>8}{'peer':>8}{'bar':>8}")
    missed = 0
    for row in (row for module in modules for row in module.compare(data)):
        print(json.dumps(row._asdict()) if chosen.json else row.line(), flush=True)
        missed += row.holds is False
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
