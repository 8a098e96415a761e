"""Devices, precisions, and what the resource of a deployment tells the trainers."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import digest, neighbors_in_community, planted_table

from embedding_assets.trainers.als import Als
from embedding_assets.trainers.devices import (
    BFLOAT16_ERROR,
    bfloat16_error,
    choose_precision,
    choose_shards,
    device_name,
    pick_device,
)
from embedding_assets.trainers.errors import DeviceNotFound
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd
from embedding_assets.trainers.tile_epoch import product
from resources.accelerator import Accelerator

CPU = pick_device("cpu")

#: Runs a bench as on a machine that has jax, optax, numpy and scipy alone: importing the others raises.
BARE = """
import runpy, sys
sys.modules |= dict.fromkeys(["annoy", "dagster", "duckdb", "pandas", "pyarrow", "sklearn", "tqdm"])
import embedding_assets.trainers.als_fit, embedding_assets.trainers.sgns_fit
sys.argv = ["gpu", "--small", "--json", "--row", "svd-small"]
runpy.run_module("tests.speed.gpu", run_name="__main__")
"""


def test_auto_is_the_device_that_jax_prefers():
    assert pick_device("auto") == jax.local_devices()[0]
    assert device_name(CPU) == "cpu:0"
    assert device_name(CPU, 4) == "cpu:0 and 3 more"


def test_auto_precision_is_float32_on_a_cpu_and_a_choice_is_kept():
    assert choose_precision("auto", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_more_shards_than_devices_are_refused_with_the_cure():
    there = len(jax.devices("cpu"))
    assert choose_shards("cpu", "auto") == there
    with pytest.raises(DeviceNotFound, match=rf"shards is {there + 1}, but jax sees {there} .* JAX_NUM_CPU_DEVICES"):
        choose_shards("cpu", there + 1)


def test_bfloat16_products_round_their_factors_and_not_their_sums():
    thirds = jnp.full((1, 1), 1 / 3, jnp.float32)
    assert float(product(thirds, jnp.ones((1, 1)), "bfloat16")[0, 0]) == 0.333984375  # 1/3 in 8 bits
    ones = jnp.ones((1, 4096), jnp.float32)  # a sum in bfloat16 would stay at 256
    assert float(product(ones, ones.T, "bfloat16")[0, 0]) == 4096.0
    assert 0.0005 < bfloat16_error(CPU) < BFLOAT16_ERROR


def test_bfloat16_finds_the_same_communities_at_the_same_objective():
    """The held-out objective is taken in float32 from both; half a percent is what seeds differ by."""
    settings = Sgns(dim=16, held_out=0.1, device="cpu", precision="float32")
    exact = settings.fit(planted_table())
    rounded = dataclasses.replace(settings, precision="bfloat16").fit(planted_table())
    assert digest(rounded) != digest(exact)
    assert rounded.metrics["held_out_loss"] == pytest.approx(exact.metrics["held_out_loss"], rel=0.005)
    assert neighbors_in_community(rounded.tables[0].vectors) >= 0.95
    assert all(np.isfinite(side.vectors).all() for side in rounded.tables)


@pytest.mark.parametrize("trainer", [Sgns(dim=7), Svd(dim=7), Als(dim=7)], ids=lambda trainer: type(trainer).__name__)
def test_what_the_resource_says_reaches_every_trainer(trainer):
    placed = Accelerator(device="cpu", precision="bfloat16", shards=3, cache="unused").placed(trainer)
    assert placed.device == "cpu"
    assert placed.dim == 7
    assert placed.shards == 3
    if isinstance(placed, Sgns):
        assert placed.precision == "bfloat16"


def test_zero_shards_of_the_resource_are_all_there_are():
    assert Accelerator(shards=0, cache="unused").placed(Sgns()).shards == "auto"


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"Sgns\.precision must be one of .*, got 'half'"):
        Sgns(precision="half")  # pyright: ignore[reportArgumentType] - that is the point


def test_the_bench_of_accelerators_needs_jax_numpy_and_scipy_alone():
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-W", "error", "-c", BARE], cwd=root, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    line = json.loads(done.stdout)
    assert line["row"] == "svd-small"
    assert 0 < line["quality"]["lost_energy"] < 0.5
    assert min(line[name] for name in ("seconds", "times_cpu", "flops", "bytes")) > 0
