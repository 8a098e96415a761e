"""Programs are compiled once, for similar weeks and for later processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import pytest
from contracts import random_table

from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.tile_epoch import compile_epoch

TESTS = Path(__file__).parent
COMPILED = "/jax/core/compile/backend_compile_duration"

#: Trains in a process of its own; prints how many programs were in the cache, how many were not, and what came out.
FIT = """
import sys
from pathlib import Path
import jax, numpy as np
from contracts import digest, random_table
from embedding_assets.trainers.devices import enable_compilation_cache
from embedding_assets.trainers.sgns import Sgns
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
enable_compilation_cache(Path(sys.argv[1]))
result = Sgns(dim=6, epochs=1, start="random", device="cpu").fit(random_table(np.random.default_rng(0), 40, 30, 200))
print(events.count("cache_hits"), events.count("cache_misses"), digest(result))
"""


@contextmanager
def counted_compilations() -> Iterator[list[str]]:
    """Grows by one with each program that is compiled inside the block."""
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(count)


def test_ten_similar_weeks_compile_once(rng):
    """Rows, columns and pairs differ from week to week, some up and some down, by up to a sixth."""
    compile_epoch.cache_clear()
    trainer = Sgns(dim=6, epochs=1, held_out=0.05, device="cpu")
    compiled, curves = [], []
    for week in range(10):
        with counted_compilations() as programs:
            result = trainer.fit(random_table(rng, 150 + 3 * (week * 7 % 10), 140 + 2 * week, 3200 - 55 * week))
        compiled.append(len(programs))
        curves.append(result.compile_seconds)
    assert compiled[0] >= 1
    assert compiled[1:] == [0] * 9
    assert max(curves[1:]) < curves[0] / 10


def test_a_table_and_its_transpose_share_one_program(rng):
    trainer = Sgns(dim=6, epochs=1, start="random", device="cpu")
    compile_epoch.cache_clear()
    with counted_compilations() as programs:
        for shape in ((150, 140), (140, 150)):
            trainer.fit(random_table(rng, *shape, 2600))
    assert len(programs) == 1


def test_a_warm_start_and_a_checkpoint_compile_nothing_more(rng, tmp_path):
    trainer = Sgns(dim=6, epochs=2, device="cpu")
    first = trainer.fit(random_table(rng, 150, 140, 2600))
    with counted_compilations() as programs:
        trainer.fit(random_table(rng, 153, 142, 2650), init=first.tables, checkpoint=tmp_path / "state")
    assert not programs


@pytest.fixture
def compile_in_a_process(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    del environment["JAX_COMPILATION_CACHE_DIR"]

    def run() -> tuple[int, int, str]:
        command = [sys.executable, "-c", FIT, str(tmp_path / "programs")]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        hits, misses, vectors = printed.split()
        return int(hits), int(misses), vectors

    return run


def test_a_second_process_loads_what_the_first_compiled_and_learns_the_same(compile_in_a_process):
    hits, compiled, vectors = compile_in_a_process()
    assert hits == 0
    assert compiled >= 1
    assert compile_in_a_process() == (compiled, 0, vectors)
