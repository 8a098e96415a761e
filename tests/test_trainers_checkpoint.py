"""A checkpoint holds what was saved, whole or not at all, and only for the work that saved it."""

import dataclasses
import errno
import logging
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from contracts import Interrupted, interrupt, planted_table
from reliability.drills_training import killed_fits

from embedding_assets.records import EmbeddingTable
from embedding_assets.trainers import checkpoint
from embedding_assets.trainers.checkpoint import Checkpoint, code_version, work_of
from embedding_assets.trainers.sgns import Sgns

ARRAYS = {"vectors": np.arange(12, dtype=np.float32).reshape(3, 4), "order": np.array([2, 0, 1])}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "state.npz"


def saved(path, work="mine", losses=(3.0, 2.5)):
    Checkpoint(path, work).save(losses, ARRAYS)


def test_what_was_saved_is_loaded(path):
    saved(path)
    found = Checkpoint(path, "mine").load()
    assert found is not None
    assert found.losses == (3.0, 2.5)
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.npz"]


def test_losses_come_back_to_the_last_bit(path):
    losses = tuple(np.random.default_rng(0).random(50).tolist())
    saved(path, losses=losses)
    found = Checkpoint(path, "mine").load()
    assert found is not None
    assert found.losses == losses


def test_nothing_saved_is_nothing_loaded(path):
    assert Checkpoint(path, "mine").load() is None
    assert Checkpoint(None, "").load() is None


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint(None, "")
    checkpoint.save([1.0], ARRAYS)
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def test_other_work_begins_at_the_start_and_takes_the_file_over(path):
    saved(path, work="theirs")
    mine = Checkpoint(path, "mine")
    assert mine.load() is None
    mine.save([1.0], {})
    assert Checkpoint(path, "theirs").load() is None


def test_a_finished_fit_forgets(path):
    saved(path)
    Checkpoint(path, "mine").remove()
    Checkpoint(path, "mine").remove()
    assert not list(path.parent.iterdir())


def test_what_a_killed_save_left_is_swept(path):
    saved(path)
    (path.parent / ".state.npz.0123456789abcdef").write_bytes(b"half")
    (path.parent / ".other.npz.0123456789abcdef").write_bytes(b"of somebody else")
    assert Checkpoint(path, "mine").load() is not None
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".other.npz.0123456789abcdef", "state.npz"]


@pytest.mark.parametrize("damage", ["flipped", "locked", "cut", "empty", "text"])
def test_a_damaged_file_is_warned_of_and_training_begins_at_the_start(path, damage, caplog):
    saved(path)
    whole = path.read_bytes()
    at = whole.index(ARRAYS["vectors"].tobytes()) + 5
    flags = whole.index(b"PK\x01\x02") + 8
    damaged = {
        "flipped": whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :],
        "locked": whole[:flags] + bytes([whole[flags] | 1]) + whole[flags + 1 :],  # as if it had a password
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not a checkpoint",
    }
    path.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(path, "mine").load() is None
    assert str(path) in caplog.text


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    saved(path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        saved(path, losses=(3.0, 2.5, 2.0))
    found = Checkpoint(path, "mine").load()
    assert found is not None
    assert found.losses == (3.0, 2.5)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.npz"]


def test_all_that_decides_the_result_is_part_of_the_work():
    table, settings = planted_table(), Sgns(dim=4)
    vectors = np.ones((60, 4), np.float32)
    init = (EmbeddingTable(vocabulary=table.rows, vectors=vectors),)
    renamed = dataclasses.replace(table.rows, keys=table.rows.keys[::-1])
    more_often = dataclasses.replace(table.columns, counts=table.columns.counts + 1)
    works = [
        work_of(settings, table),
        work_of(dataclasses.replace(settings, seed=1), table),
        work_of(settings, planted_table(seed=1)),
        work_of(settings, dataclasses.replace(table, rows=renamed)),
        work_of(settings, dataclasses.replace(table, columns=more_often)),
        work_of(settings, dataclasses.replace(table, columns=dataclasses.replace(table.columns))),  # two sides
        work_of(settings, table, init),
        work_of(settings, table, (dataclasses.replace(init[0], vectors=vectors * 2),)),
    ]
    assert len(set(works)) == len(works)
    assert work_of(Sgns(dim=4), planted_table()) == works[0]


def epochs_after_one(path, *, other_code, monkeypatch):
    """The epochs that a second process runs where the first was stopped after one."""
    settings, epochs = Sgns(dim=4, epochs=3, device="cpu"), []
    with pytest.raises(Interrupted):
        settings.fit(planted_table(), checkpoint=path, progress=interrupt)
    if other_code:
        monkeypatch.setattr(checkpoint, "CODE", "of the next release")
    settings.fit(planted_table(), checkpoint=path, progress=lambda report: epochs.append(report.epoch))
    return epochs


def test_a_fit_that_other_code_began_begins_at_the_start(path, monkeypatch):
    assert epochs_after_one(path, other_code=False, monkeypatch=monkeypatch) == [2, 3]
    assert epochs_after_one(path, other_code=True, monkeypatch=monkeypatch) == [1, 2, 3]


def test_code_is_every_byte_and_name_of_the_package(tmp_path):
    def version(**sources):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        (folder / "notes.txt").write_text(str(folder))  # no code
        return code_version(folder)

    one = version(a="x = 1", b="y = 2")
    assert version(b="y = 2", a="x = 1") == one
    others = [version(a="x = 1", b="y = 3"), version(a="x = 1", c="y = 2"), version(a="x = 1"), version(a="x = 1y = 2")]
    assert len({one, *others}) == 5


def test_the_code_that_runs_is_that_of_the_trainers():
    own = Path(checkpoint.__file__).parent
    assert (own / "sgns_fit.py").exists()
    assert checkpoint.CODE.startswith(code_version(own))
    assert jax.__version__ in checkpoint.CODE.split()


def test_fits_killed_at_random_moments_end_in_the_same_bytes():
    """Drill R18; `python -m tests.reliability --row R18` runs it at full count, for every trainer."""
    tried, problems = killed_fits(1, ["svd"])
    assert (tried, problems) == (1, [])
