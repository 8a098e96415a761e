"""Fixtures shared by all tests: real and tiny."""

import os
from pathlib import Path

import numpy as np
import pytest

# A `(B,) - (B, 1)` slip raises instead of broadcasting; read by jax when a test first imports it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
pytest.register_assert_rewrite("contracts")

REAL_DATA = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the shared real data; the test is skipped, with the reason, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA} (set REAL_DATA)")
    return REAL_DATA
