"""`python -m tests.speed [BENCH ...] [--json] [--rounds N] [--row NAME]`: our speed beside a peer's, at equal quality.

Without a name every bench runs; `make speed` installs the peers first. Needs the dependency group `speed`
and the shared data (`REAL_DATA`, default `../shared/data`).
"""

import json
import sys

from tests.bench_choice import opened, parser_of

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
    parser = parser_of("tests.speed", __doc__, BENCHES)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds, each a seed")
    parser.add_argument("--row", action="append", help="only this row; may be repeated")
    chosen = parser.parse_args()
    modules, data = opened(parser, "tests.speed", BENCHES, chosen.bench)
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
