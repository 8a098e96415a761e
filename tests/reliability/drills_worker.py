"""R5: the worker of a run is killed while it publishes, under a real daemon."""

import tempfile
from pathlib import Path


def killed_workers(times: int) -> tuple[int, list[str]]:
    """Kill the worker of a publish so many times, each in a fresh home."""
    from reliability.worker import kill_a_publish  # loads dagster, which no other row needs

    failed = []
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="drill-") as home:
            outcome = kill_a_publish(Path(home), ("files", "logged")[number % 2])
            if not outcome.kills:
                failed.append(f"{number}: the moment passed unseen")
            failed += [f"{number}: {problem}" for problem in outcome.problems]
    return times, failed


DRILLS = {"R5": (killed_workers, 20)}
