"""R18: a fit is killed at random moments, and goes on from its checkpoint to the same bytes."""

import importlib
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from contracts import digest, planted_table

from embedding_assets.records import Progress, TrainResult
from embedding_assets.trainers.sgns import Sgns

#: Random start and many epochs, so that a fit lasts long enough to be hit; held-out pairs, so that all state is used.
TRAINER = Sgns(dim=32, epochs=40, start="random", held_out=0.1, device="cpu")
TABLE = planted_table(200)
READY = "ready"


def killed_fits(times: int) -> tuple[int, list[str]]:
    """Kill a fitting process so many times, each time at another moment; between kills it is started again.

    It ends at the first problem: a child that always fails would never be killed often enough.
    """
    rng = np.random.default_rng(18)
    whole = TRAINER.fit(TABLE)
    kills, problems = 0, []
    while kills < times and not problems:
        with tempfile.TemporaryDirectory(prefix="drill-") as folder:
            found, printed = _fit_through_kills(Path(folder), rng, whole, times - kills)
            kills += found
            problems += [f"after {found} kills: {problem}" for problem in _problems(Path(folder), printed, whole)]
    return kills, problems


def _fit_through_kills(folder: Path, rng: np.random.Generator, whole: TrainResult, most: int) -> tuple[int, str]:
    """Processes one after the other until one finishes; how many were killed, and all that they printed."""
    kills, printed = 0, ""
    while True:
        child = _start(folder)
        try:
            assert child.stdout is not None
            assert child.stdout.readline().strip() == READY, "the child failed before its fit"
            # a fresh process compiles, as the first fit of this one did
            said = child.communicate(timeout=rng.uniform(0, whole.seconds) if kills < most else None)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            said = child.communicate()[0]
            kills += 1
        printed += said
        if child.returncode >= 0:
            return kills, printed


def _start(folder: Path) -> subprocess.Popen[str]:
    tests = Path(__file__).resolve().parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    command = [sys.executable, __file__, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _problems(folder: Path, printed: str, whole: TrainResult) -> list[str]:
    lines = printed.split()
    epochs = [int(line) for line in lines if line.isdecimal()]
    problems = []
    if not lines or lines[-1] != f"done:{digest(whole)}":
        problems.append(f"ended with {lines[-1:]}, not with the digest of an uninterrupted fit")
    # a process killed between its last epoch and its end has nothing to go on from: its work was done
    again = [at for done, at in pairwise(epochs) if at <= done and (done, at) != (TRAINER.epochs, 1)]
    if again:
        problems.append(f"epochs that were done were run again: {again}, of {epochs}")
    if left := sorted(entry.name for entry in folder.iterdir()):
        problems.append(f"left behind: {left}")
    return problems


def _fit_in_child(folder: Path) -> None:
    def report(progress: Progress) -> None:
        print(progress.epoch, flush=True)

    importlib.import_module("embedding_assets.trainers.sgns_fit")  # loads jax: kills hit the fit, not the imports
    print(READY, flush=True)
    print(f"done:{digest(TRAINER.fit(TABLE, checkpoint=folder / 'state.npz', progress=report))}", flush=True)


DRILLS = {"R18": (killed_fits, 20)}

if __name__ == "__main__":
    _fit_in_child(Path(sys.argv[1]))
