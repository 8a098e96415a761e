"""Fault drills at full count: `python -m tests.reliability [--row R5]`; one JSON line a row."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' helpers, as pytest finds them

from reliability.worker import kill_a_publish

TIMES = {"R5": 20}


def killed_workers(times: int) -> tuple[int, list[str]]:
    """Drill R5: kill the worker of a publish so many times, each in a fresh home."""
    failed = []
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="drill-") as home:
            outcome = kill_a_publish(Path(home), ("files", "logged")[number % 2])
            if not outcome.kills:
                failed.append(f"{number}: the moment passed unseen")
            failed += [f"{number}: {problem}" for problem in outcome.problems]
    return times, failed


ROWS: dict[str, Callable[[int], tuple[int, list[str]]]] = {"R5": killed_workers}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--row", choices=sorted(ROWS), action="append", help="only this drill")
    parser.add_argument("--times", type=int, help="instead of the row's full count")
    options = parser.parse_args()
    failures = 0
    for row in options.row or sorted(ROWS):
        began = time.monotonic()
        tried, failed = ROWS[row](options.times or TIMES[row])
        failures += len(failed)
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({"row": row, "tried": tried, "failed": len(failed), "seconds": seconds, "problems": failed}))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
