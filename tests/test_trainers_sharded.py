"""SGNS and SVD on a ring of devices, against the same on one device.

The devices are the CPU, several times over, in processes of their own: `ring_runs` is what they do.
"""

from typing import Any

import numpy as np
import pytest
from contracts import random_table
from device_processes import said, said_by_two, started

from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.ring_layout import lay_out_ring
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd


@pytest.fixture(scope="module")
def four() -> dict[str, Any]:
    """What four devices of one process did."""
    return said(started("ring_runs.py", "schedule", devices=4))


@pytest.fixture(scope="module")
def pair() -> list[dict[str, Any]]:
    """What each of two processes with one device did, together."""
    return said_by_two("ring_runs.py", "process")


def test_an_epoch_equals_its_schedule_on_one_device_bit_by_bit(four):
    assert four["equal"]
    assert four["losses"][0] == pytest.approx(four["losses"][1], rel=1e-6)
    assert four["moved"] > 0.01, "some vector never moved"


def test_an_epoch_repeats_bit_by_bit(four):
    assert four["repeats"]


def test_quality_is_that_of_one_device(four):
    alone, ring = four["held_out"]
    assert ring == pytest.approx(alone, rel=0.005)
    alone, ring = four["losses_of_fits"]
    assert ring == pytest.approx(alone, rel=0.005)
    assert min(four["communities"]) >= 0.95


def test_a_ring_is_checkpointed_and_watched_as_one_device_is(four):
    assert four["stopped"]
    assert four["resumed_equal"]


def test_the_result_says_where_it_was_trained(four):
    assert (four["device"], four["shards"]) == ("cpu:0 and 3 more", 4.0)


def test_more_shards_than_devices_are_refused(four):
    assert four["too_many"].startswith("DeviceNotFound: shards is 5, but jax sees 4 'cpu' devices")


def test_two_processes_give_what_one_with_two_devices_gives(four, pair):
    assert [process["processes"] for process in pair] == [2, 2]
    assert [process["digest"] for process in pair] == [four["digest_of_two"]] * 2


def test_two_processes_refuse_what_they_could_disagree_about(pair):
    for process in pair:
        assert process["checkpoint"].startswith("CannotShard: checkpoint is state and patience None, but 2 processes")


@pytest.mark.parametrize("table", ["wide", "tall", "tiny"])
def test_svd_is_that_of_one_device_to_rounding(four, table):
    got = four["svd"][table]
    assert got["lost"][1] == pytest.approx(got["lost"][0], abs=1e-6)
    assert got["curves"][1] == pytest.approx(got["curves"][0], abs=1e-6)
    assert got["singular"] < 1e-5
    assert got["vectors"] < 1e-3


@pytest.mark.parametrize("table", ["wide", "tall", "tiny"])
def test_svd_repeats_bit_by_bit_and_says_where(four, table):
    got = four["svd"][table]
    assert (got["repeats"], got["device"], got["shards"]) == (True, "cpu:0 and 3 more", 4.0)


def test_svd_is_checkpointed_as_on_one_device(four):
    assert four["svd"]["stopped"] == [1, 2]
    assert four["svd"]["resumed_equal"]


def test_svd_of_two_processes_is_that_of_one_with_two_devices(four, pair):
    assert [process["svd_digest"] for process in pair] == [four["svd"]["digest_of_two"]] * 2
    for process in pair:
        assert process["svd_checkpoint"].startswith("CannotShard: checkpoint is state, but 2 processes train this")


def test_devices_add_up_in_one_order(four):
    assert four["sums"]


@pytest.mark.parametrize("shards", [1, 3, 4])
def test_every_pair_is_laid_out_once_and_with_its_row(shards, rng):
    counts = as_matrix(random_table(rng, 37, 53, 400))
    size = 8
    noise = rng.random(53)
    tiles = lay_out_ring(counts, noise, size, shards, rng)
    arrays, mean = tiles.arrays, tiles.mean
    R, C = (len(side) // shards // size for side in (arrays.mass, arrays.noise))
    blocks, room = len(arrays.starts) // shards, len(arrays.cells) // shards
    rebuilt = np.zeros((shards * R * size, shards * C * size))
    for device in range(shards):
        starts = arrays.starts[device * blocks : (device + 1) * blocks]
        for tile in range(blocks - 1):
            owner, row, col = tile // (R * C), tile // C % R, tile % C
            assert starts[tile] == starts[tile + 1] or row * C + col in tiles.used
            for at in range(device * room + starts[tile], device * room + starts[tile + 1]):
                i, j = divmod(arrays.cells[at], size)
                rebuilt[(device * R + row) * size + i, (owner * C + col) * size + j] += arrays.counts[at] * mean
    np.testing.assert_allclose(rebuilt[tiles.row_places][:, tiles.col_places], counts.toarray(), rtol=1e-6)
    np.testing.assert_allclose(arrays.mass[tiles.row_places] * mean, counts.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(arrays.noise[tiles.col_places], noise, rtol=1e-6)
    assert rebuilt.sum() == pytest.approx(counts.sum())


@pytest.mark.parametrize("negatives", ["mixed", "sampled"])
def test_a_ring_has_exact_negatives_only(negatives):
    with pytest.raises(ValueError, match=rf"Sgns\.negatives must be exact or auto .*, got '{negatives}'"):
        Sgns(shards="auto", negatives=negatives)


@pytest.mark.parametrize("trainer", [Sgns, Svd])
@pytest.mark.parametrize("shards", [0, 2.0, True, "all"])
def test_an_impossible_number_of_shards_is_refused(trainer, shards):
    with pytest.raises(ValueError, match=rf"{trainer.__name__}\.shards must be"):
        trainer(shards=shards)


def test_processes_agree_on_the_numbers_of_the_first(pair):
    assert [one["agreed"] for one in pair] == [[[0.0, 0.5], [1e-12]]] * 2
