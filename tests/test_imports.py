"""What a process pays for: readers load numpy and Arrow, the code server neither trains nor judges."""

import os
import subprocess
import sys

import pytest

LEARNING = {"jax", "optax", "sklearn", "scipy", "matplotlib"}
BUILD = """
import os
from embedding_assets.definitions import build_definitions
definitions = build_definitions(os.environ)
assert definitions.resolve_job_def("weekly").asset_layer.selected_asset_keys
"""


def loaded_after(code, **environ):
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ, **environ}
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def test_a_reader_loads_neither_dagster_nor_what_trains_and_judges():
    loaded = loaded_after("from registry import open_registry")
    assert not loaded & {"dagster", "duckdb", *LEARNING}


def test_the_code_server_loads_nothing_that_trains_or_judges(tmp_path):
    loaded = loaded_after(BUILD, EMBEDDINGS_HOME=str(tmp_path), EMBEDDINGS_SOURCE="")
    assert "dagster" in loaded
    assert not loaded & LEARNING


@pytest.mark.parametrize(
    "module", ["embedding_assets.embeddings", "embedding_assets.trainers.sgns", "benchmarks.runner"]
)
def test_what_is_no_asset_does_not_load_dagster(module):
    assert "dagster" not in loaded_after(f"import {module}")
