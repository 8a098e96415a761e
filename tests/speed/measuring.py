"""Seconds and peak memory of one piece of work, taken the same way for us and for a peer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Measured(Generic[Result]):
    """What `work` returned, and what it cost.

    Attributes:
        seconds: wall time.
        peak_bytes: how far the process's resident memory rose above where it was before; Linux only.
    """

    result: Result
    seconds: float
    peak_bytes: int


def measured(work: Callable[[], Result]) -> Measured[Result]:
    """Run `work` once in this process.

    Memory that an earlier round freed but the allocator kept is used again unseen: read the peak of the first round,
    or the largest of all.
    """
    Path("/proc/self/clear_refs").write_text("5")  # resets the kernel's high-water mark (proc(5))
    before = _status("VmRSS")
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    return Measured(result=result, seconds=seconds, peak_bytes=max(_status("VmHWM") - before, 0))


def _status(field: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
