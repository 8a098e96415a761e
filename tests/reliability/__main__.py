"""Fault drills at full count: `python -m tests.reliability [--row R5]`; one JSON line a row.

A row comes from a module `drills_*.py` in this folder, which has

    DRILLS = {"R5": (function, 20)}   # row -> what to do, and how often at full count

where `function(times)` returns how often it tried, and one line for each thing that went wrong.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the tests' helpers, as pytest finds them

Drill = Callable[[int], tuple[int, list[str]]]


def drills() -> dict[str, tuple[Drill, int]]:
    """Every row that a module beside this one offers; a row that two of them claim is an error."""
    found: dict[str, tuple[Drill, int]] = {}
    for path in sorted(HERE.glob("drills_*.py")):
        for row, drill in importlib.import_module(f"reliability.{path.stem}").DRILLS.items():
            if row in found:
                raise ValueError(f"{path.name} claims row {row}, which another module has; give one of them another")
            found[row] = drill
    return dict(sorted(found.items(), key=lambda item: (len(item[0].partition("-")[0]), item[0])))


def main() -> None:
    rows = drills()
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__.partition("\n")[0])
    parser.add_argument("--row", choices=list(rows), action="append", help="only this drill; may be repeated")
    parser.add_argument("--times", type=int, help="instead of the row's full count")
    options = parser.parse_args()
    failures = 0
    for row in options.row or rows:
        drill, full_count = rows[row]
        began = time.monotonic()
        tried, failed = drill(options.times or full_count)
        failures += len(failed)
        seconds = round(time.monotonic() - began, 1)
        line = {"row": row, "tried": tried, "failed": len(failed), "seconds": seconds, "problems": failed}
        print(json.dumps(line), flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
