"""Works that need a process of their own: `python -m tests.speed.registry_alone WORK ARGUMENT...`; prints JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from registry import Draft, open_registry
from tests.speed.measuring import Measured, measured
from tests.speed.registry_world import DIM, LARGE, user_keys

_MIB = 1 << 20


def publish(root: str) -> dict[str, float]:
    """A million vectors; the peak is of the whole process, the draft's own vectors included."""
    rng = np.random.default_rng(3)
    keys, vectors = user_keys(LARGE), rng.normal(size=(LARGE, DIM)).astype(np.float32)
    draft = Draft(entity="user", name="large", space="large", keys=keys, vectors=vectors)
    cost = measured(lambda: open_registry(root).publish(draft))
    peak = _status_line("VmHWM")
    return {"seconds": cost.seconds, "peak_mib": peak / _MIB, "table_mib": vectors.nbytes / _MIB}


def first_lookup(root: str, key: str, verified: str) -> dict[str, float]:
    """Open a version and look a key up; with `verified` its files were already hashed by this process."""
    if verified == "verified":
        _lookup(root, key)
    return _cost(measured(lambda: _lookup(root, key)))


def _lookup(root: str, key: str) -> np.ndarray:
    return open_registry(root)["user/large"].lookup(key)


def dict_lookup(root: str, key: str) -> dict[str, float]:
    """Read `vectors.parquet` into a dict of key to row and an array, and look a key up."""
    path = next(Path(root).glob("user/large/versions/*/vectors.parquet"))

    def work() -> np.ndarray:
        table = pq.read_table(path)
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        row_of = {name: row for row, name in enumerate(table["key"].to_pylist())}
        return vectors[row_of[key]]

    return _cost(measured(work))


def read_all(root: str) -> dict[str, float]:
    """Touch every vector, wait for the other readers, then say what share of memory is this process's."""
    version = open_registry(root)["user/large"]
    version.lookup(version.keys()[0].as_py())
    before = _pss()
    version.numpy().sum()
    print("ready", flush=True)
    sys.stdin.readline()
    found = {"pss_mib": (_pss() - before) / _MIB}
    print("measured", flush=True)
    sys.stdin.readline()  # who left earlier would leave its share to the others
    return found


def _cost(cost: Measured[np.ndarray]) -> dict[str, float]:
    return {"seconds": cost.seconds, "rss_mib": cost.peak_bytes / _MIB}


def _pss() -> int:
    return _line(Path("/proc/self/smaps_rollup"), "Pss")


def _status_line(field: str) -> int:
    return _line(Path("/proc/self/status"), field)


def _line(path: Path, field: str) -> int:
    """Bytes of one line of a file of /proc."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{path} has no {field}")


WORKS = {"publish": publish, "first_lookup": first_lookup, "dict_lookup": dict_lookup, "read_all": read_all}

if __name__ == "__main__":
    time.sleep(0.1)  # lets the parent fall asleep
    print(json.dumps(WORKS[sys.argv[1]](*sys.argv[2:])))
