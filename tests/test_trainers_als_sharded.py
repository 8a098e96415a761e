"""ALS on several devices against ALS on one.

The devices are the CPU, several times over, in processes of their own: `als_ring_runs` is what they do.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
from als_ring_runs import ALONE, KINDS
from als_tables import long_table
from contracts import digest, earlier_tables, planted_table, random_table
from device_processes import said, said_by_two, started

from embedding_assets.records import TrainResult
from embedding_assets.trainers.als import Als
from embedding_assets.trainers.als_layout import BLOCK, lay_out, shared_out
from embedding_assets.trainers.matrix import as_matrix


@pytest.fixture(scope="module")
def four() -> dict[str, Any]:
    """What four devices of one process did."""
    return said(started("als_ring_runs.py", "four", devices=4))


@pytest.fixture(scope="module")
def pair() -> list[dict[str, Any]]:
    """What each of two processes with one device did, together."""
    return said_by_two("als_ring_runs.py", "process")


def is_near(ring: dict[str, Any], alone: TrainResult, *, share: float) -> bool:
    """Whether no number of any vector is further off than that `share` of the largest number."""
    for side, table in zip(ring["vectors"], alone.tables, strict=True):
        if np.abs(np.array(side) - table.vectors).max() > share * np.abs(table.vectors).max():
            return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_four_devices_find_what_one_does(four, kind):
    alone, ring = KINDS[kind].fit(long_table()), four["kinds"][kind]
    assert ring["losses"] == pytest.approx(alone.loss_curve, rel=1e-5)
    # three steps on rows of their own conditioning leave rounding ten times as large in each epoch
    assert is_near(ring, alone, share=1e-2 if kind == "explicit cg" else 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_four_devices_repeat_bit_by_bit(four, kind):
    assert four["kinds"][kind]["repeats"]


def test_devices_that_share_threads_do_not_wait_for_each_other_for_ever(four):
    assert 0 < four["many"] < 5.4  # vectors that are all 0 have the mean of 1 + count, and counts are 1 to 8


def test_a_program_serves_all_tables_of_its_sizes(four):
    assert four["compiled"] == [len(KINDS), 0, 0, 0]


def test_cold_and_warm_starts_are_those_of_one_device(four):
    cold = ALONE.fit(planted_table())
    warm = ALONE.fit(planted_table(), init=earlier_tables(cold))
    for name, alone in (("cold", cold), ("warm", warm)):
        assert four[name]["losses"] == pytest.approx(alone.loss_curve, rel=1e-5)
        assert is_near(four[name], alone, share=1e-4)


def test_a_fit_on_four_devices_goes_on_from_its_checkpoint(four):
    assert four["stopped"] == [1, 2, 3]
    assert four["resumed_equal"] == [True, True]


def test_the_result_says_where_it_was_trained(four):
    assert (four["device"], four["shards"]) == ("cpu:0 and 3 more", 4.0)


def test_more_shards_than_devices_are_refused(four):
    assert four["too_many"].startswith("DeviceNotFound: shards is 5, but jax sees 4 'cpu' devices")


def test_two_processes_give_what_one_with_two_devices_gives(four, pair):
    assert [process["processes"] for process in pair] == [2, 2]
    assert [process["digest"] for process in pair] == [four["digest_of_two"]] * 2


def test_two_processes_can_also_train_each_for_itself(pair):
    for seed, process in enumerate(pair):
        alone = dataclasses.replace(KINDS["implicit exact"], seed=seed).fit(long_table())
        assert process["digest_of_own"] == digest(alone)


def test_two_processes_refuse_a_checkpoint(pair):
    for process in pair:
        assert process["checkpoint"].startswith("CannotShard: checkpoint is state, but 2 processes")


@pytest.mark.parametrize(("shards", "room"), [(1, 2048), (2, 1024), (5, 512)])
def test_a_vector_is_read_where_it_is_kept(rng, shards, room):
    layout = lay_out(as_matrix(random_table(rng, 1300, 3, 1900)), 128, shards)
    assert layout.room == room
    for number, half in enumerate(layout.halves):
        device, place = np.divmod(half.others, room)
        kept = device * layout.total + half.other_blocks[0] * BLOCK + place
        np.testing.assert_array_equal(layout.places[1 - number], kept)


@pytest.mark.parametrize("shards", [2, 5])
def test_ids_and_pairs_are_shared_out_evenly(rng, shards):
    lengths = np.minimum(rng.zipf(1.5, 2000), 900)
    parts = shared_out(lengths, 128, shards)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.ids for part in parts])), np.arange(2000))
    assert np.ptp([len(part.ids) for part in parts]) <= 1
    assert np.ptp([lengths[part.ids].sum() for part in parts]) <= lengths.max()


@pytest.mark.parametrize("shards", [0, 2.0, True, "all"])
def test_an_impossible_number_of_shards_is_refused(shards):
    with pytest.raises(ValueError, match=rf"Als\.shards must be .*got {shards!r}"):
        Als(shards=shards)
