"""`python -m tests.quality [BENCH ...] [--json]`: our vectors of real graphs beside what off-the-shelf libraries reach.

Needs the shared data (`REAL_DATA`, default `../shared/data`); the bench `walks` needs gensim too (`make speed`
installs it).
"""

import json
import sys

from tests.bench_choice import opened, parser_of

#: Each is a module beside this one, with the peers that it runs: `compare(data)` yields rows.
BENCHES = {"twitch": [], "deezer": [], "walks": ["gensim"]}


def main() -> int:
    """Run the benches and print a table or, with `--json`, one object a line; 1 where a bar is missed."""
    parser = parser_of("tests.quality", __doc__, BENCHES)
    chosen = parser.parse_args()
    modules, data = opened(parser, "tests.quality", BENCHES, chosen.bench)
    if not chosen.json:
        print(f"{'row':<44}{'ours':>8}{'peer':>8}{'bar':>8}")
    missed = 0
    for row in (row for module in modules for row in module.compare(data)):
        print(json.dumps(row._asdict()) if chosen.json else row.line(), flush=True)
        missed += row.holds is False
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
