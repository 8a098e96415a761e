"""RELIABILITY.md R1 to R4 and R6 in small: whatever dies, fails or races, a version is whole or absent."""

import numpy as np
import pytest
from registry_samples import make_vectors
from reliability.drills_publishing import (
    failing_operations,
    full_disk,
    killed_publishers,
    order_of_writes,
    racing_publishers,
    small_draft,
    whole_or_absent,
)
from reliability.faulty_disk import FaultyDisk

from registry import Score, Store, open_registry
from registry.storage.local import LocalStorage


def test_any_failing_operation_leaves_a_whole_version_or_none():
    tried, problems = failing_operations(6)
    assert problems == []
    assert tried == 6 * 6


def test_a_retry_after_a_failed_last_sync_does_not_publish_twice(tmp_path):
    disk = FaultyDisk()
    Store(LocalStorage(tmp_path / "count", disk)).publish(small_draft())
    linked = disk.trace.index(("link", tmp_path / "count/word/word/log/00000001.json"))
    sync = next(i for i in range(linked, len(disk.trace)) if disk.trace[i][0] == "sync")
    with pytest.raises(OSError, match="Input/output error"):
        Store(LocalStorage(tmp_path / "r", FaultyDisk(sync))).publish(small_draft(created_by="run"))
    version = open_registry(tmp_path / "r").publish(small_draft(created_by="run"))
    assert version.number == 1
    assert whole_or_absent(tmp_path / "r", 1) == (1, [])


def test_what_is_acknowledged_was_synced_in_the_right_order():
    assert order_of_writes(1) == (1, [])


def test_a_killed_publisher_leaves_a_whole_version_or_none():
    assert killed_publishers(12) == (12, [])


def test_racing_publishers_get_a_number_each_and_retries_share_one():
    assert racing_publishers(3) == (9, [])


def test_a_full_disk_is_an_error_and_no_damage():
    assert full_disk(1) == (1, [])


def test_a_reader_keeps_what_it_opened_while_others_publish(tmp_path):
    store = open_registry(tmp_path)
    version = store.publish(small_draft())
    vectors = version.numpy()
    for _ in range(3):
        open_registry(tmp_path).publish(small_draft())
    store.add_score(version, Score(task="t", metric="m", value=1.0, rows_used=1))
    np.testing.assert_array_equal(vectors, make_vectors(4, 2))
    assert version.number == 1
