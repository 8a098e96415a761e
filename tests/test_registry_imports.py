import subprocess
import sys

import pytest

HEAVY = ("jax", "optax", "dagster", "sklearn", "scipy", "duckdb", "annoy", "pandas", "click", "rich", "pyarrow.parquet")


def loaded_after(code):
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("code", ["from registry import open_registry", "import registry.errors, registry.records"])
def test_a_reader_pays_for_numpy_and_arrow_only(code):
    assert not loaded_after(code) & set(HEAVY)


def test_the_command_line_draws_with_rich_only_when_asked():
    assert not loaded_after("import registry.cli") & (set(HEAVY) - {"click"})
