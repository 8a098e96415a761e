"""Fixtures shared by all tests: real and tiny."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from benchmark_world import TOPIC_OF, World, planted

from registry import Version

# A `(B,) - (B, 1)` slip raises instead of broadcasting; read by jax when a test first imports it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # one for all processes of a session, as a project's home has one
    PROGRAMS = tempfile.mkdtemp(prefix="programs-")
    atexit.register(shutil.rmtree, PROGRAMS, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = PROGRAMS
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
pytest.register_assert_rewrite("contracts")

REAL_DATA = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


#: What takes longest begins, so that the workers end together; the first ones share the weeks of `pipeline`.
LONGEST = [
    f"test_{part}" for part in ("readme", "pipeline", "every_embedding", "automation", "drift_assets", "tuning_asset")
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files for the workers, each of which takes a whole file at a time."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the shared real data; the test is skipped, with the reason, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA} (set REAL_DATA)")
    return REAL_DATA


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry to publish planted versions into and to judge them."""
    return World(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def plain(world: World) -> Version:
    """Planted vectors of week 2026-02-02, made from four weeks of data."""
    return world.publish(planted(TOPIC_OF, np.random.default_rng(1)))
