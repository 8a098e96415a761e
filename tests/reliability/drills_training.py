"""R18: fits are killed at random moments, and go on from their checkpoints to the same bytes."""

import importlib
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from contracts import digest, random_table
from reliability.drills_publishing import folder, start

from embedding_assets.records import Progress, Trainer, TrainResult
from embedding_assets.trainers.als import Als
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd

# Several tiles, so that their order matters; a random start, which no checkpoint has to make up for; held-out pairs, so
# that all state is used.
SGNS = {"dim": 32, "tile": 64, "start": "random", "held_out": 0.1, "device": "cpu"}
#: Every trainer, and every way that it treats negatives or solves.
TRAINERS: dict[str, Trainer] = {
    "sgns-exact": Sgns(**SGNS, epochs=40, negatives="exact"),
    "sgns-mixed": Sgns(**SGNS, epochs=40, negatives="mixed"),
    "sgns-sampled": Sgns(**SGNS, epochs=10, negatives="sampled"),
    "svd": Svd(dim=32, rounds=30, weights="raw", device="cpu"),
    "als-exact": Als(dim=32, epochs=40, solver="exact", device="cpu"),
    "als-cg": Als(dim=32, epochs=40, solver="cg", device="cpu"),
}
TABLE = random_table(np.random.default_rng(0), 300, 260, 6_000)
CHILD = "import sys; from reliability.drills_training import fit_in_child; fit_in_child(*sys.argv[1:])"
READY, DONE = "ready", "done:"


def killed_fits(times: int, names: Iterable[str] = tuple(TRAINERS)) -> tuple[int, list[str]]:
    """Kill fitting processes of each trainer so many times, each at another moment; how many were, and what was wrong.

    A trainer ends at its first problem: a child that always fails would never be killed often enough.
    """
    tried, problems = 0, []
    for name in names:
        rng, kills, found = np.random.default_rng(18), 0, []
        whole = TRAINERS[name].fit(TABLE)
        with folder() as programs:
            while kills < times and not found:
                with folder() as state:
                    more, printed = _fit_through_kills((name, state, programs), rng, whole, times - kills)
                    kills += more
                    found = [f"{name} after {kills} kills: {one}" for one in _wrong(state, printed, whole)]
        tried, problems = tried + kills, problems + found
    return tried, problems


def _fit_through_kills(
    arguments: tuple[str, Path, Path], rng: np.random.Generator, whole: TrainResult, most: int
) -> tuple[int, list[str]]:
    """Processes one after the other until one finishes; how many were killed, and all that they printed.

    A kill comes within an epoch's time of a random epoch of those that are left, or of the fit's begin.
    """
    kills, printed = 0, []
    while True:
        with start(CHILD, *arguments, capture=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline().strip() == READY, "the child failed before its fit"
            if kills < most:
                epochs = len(whole.loss_curve)
                left = epochs - (int(printed[-1]) if printed else 0) % epochs
                printed += [child.stdout.readline().strip() for _ in range(rng.integers(left))]
                time.sleep(rng.uniform(0, whole.seconds / epochs))
                child.kill()
            printed += child.stdout.read().split()
        if child.returncode >= 0 or "".join(printed[-1:]).startswith(DONE):
            return kills, printed
        kills += 1


def _wrong(state: Path, printed: list[str], whole: TrainResult) -> list[str]:
    """Everything that is not as it must be once a fit is finished."""
    epochs = [int(line) for line in printed if line.isdecimal()]
    problems = []
    if printed[-1:] != [DONE + digest(whole)]:
        problems.append(f"ended with {printed[-1:]}, not with the digest of an uninterrupted fit")
    # a process killed between its last epoch and its end has nothing to go on from: its work was done
    again = [at for done, at in pairwise(epochs) if at <= done and (done, at) != (len(whole.loss_curve), 1)]
    if again:
        problems.append(f"epochs that were done were run again: {again}, of {epochs}")
    if left := sorted(entry.name for entry in state.iterdir()):
        problems.append(f"left behind: {left}")
    return problems


def fit_in_child(name: str, state: str, programs: str) -> None:
    """Fit, and say every epoch and in the end the digest; what a killed process does."""

    def report(progress: Progress) -> None:
        print(progress.epoch, flush=True)

    trainer = TRAINERS[name]
    # loads jax: kills hit the fit, not the imports
    importlib.import_module(f"embedding_assets.trainers.{type(trainer).__name__.lower()}_fit")
    from embedding_assets.trainers.devices import enable_compilation_cache

    enable_compilation_cache(Path(programs))
    print(READY, flush=True)
    result = trainer.fit(TABLE, checkpoint=Path(state) / "state.npz", progress=report)
    print(DONE + digest(result), flush=True)


DRILLS = {"R18": (killed_fits, 20)}
