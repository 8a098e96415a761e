"""The lake's files: round trips, atomic replacement, lineage inside, and names that must not escape."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from registry.records import Upstream
from resources.lake_files import LakeFiles, MissingPartition, content_hash

WEEK, NEXT = "2026-01-05", "2026-01-12"


@pytest.fixture
def lake(tmp_path):
    return LakeFiles(tmp_path / "lake")


def rows(*values):
    return pa.table({"row_id": pa.array(values, pa.int64())})


def lineage(week=WEEK, **fields):
    return Upstream(asset="word/pairs", partition=week, data_version="aa", **fields)


def test_a_partition_comes_back_with_its_lineage(lake):
    raw = Upstream(asset="raw/tweets", partition=WEEK, data_version="bb", run_id="r1")
    made = lineage(run_id="r2", code_version="1", upstream=(raw,))
    lake.write("word/pairs", rows(1, 2, 3), made)
    assert lake.read("word/pairs", WEEK).equals(rows(1, 2, 3))
    assert lake.lineage("word/pairs", WEEK) == made
    assert lake.rows("word/pairs", WEEK) == 3


def test_duckdb_reads_the_lake_with_a_glob(lake):
    lake.write("word/pairs", rows(1), lineage())
    lake.write("word/pairs", rows(2, 3), lineage(NEXT))
    pattern = str(lake.root / "word/pairs/week=*/data.parquet")
    asked = f"select week::varchar, count(*) from read_parquet('{pattern}') group by 1 order by 1"  # noqa: S608
    with duckdb.connect() as connection:  # the one that all share may hold another test's result
        assert connection.sql(asked).fetchall() == [(WEEK, 1), (NEXT, 2)]


def test_a_missing_partition_is_named_with_what_there_is(lake):
    lake.write("word/pairs", rows(1), lineage())
    with pytest.raises(MissingPartition, match=f"word/pairs has no partition {NEXT}; it has {WEEK}"):
        lake.read("word/pairs", NEXT)
    with pytest.raises(MissingPartition, match=r"word/corpus has no partition .*; it has none"):
        lake.dataset("word/corpus", NEXT)


def test_a_failed_write_leaves_the_old_partition_and_no_rubbish(lake, monkeypatch):
    path = lake.write("word/pairs", rows(1), lineage())

    def disk_full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resources.lake_files.os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        lake.write("word/pairs", rows(2), lineage())
    assert lake.read("word/pairs", WEEK).equals(rows(1))
    assert [file.name for file in path.parent.iterdir()] == ["data.parquet"]


def test_racing_writers_leave_one_whole_partition(lake):
    tables = [rows(*[number] * 1000) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda t: lake.write("word/pairs", t, lineage()), tables))
    assert lake.read("word/pairs", WEEK) in tables


def test_an_open_dataset_survives_a_rewrite_of_another_week(lake):
    lake.write("word/pairs", rows(1), lineage())
    dataset = lake.dataset("word/pairs", WEEK)
    lake.write("word/pairs", rows(9), lineage(NEXT))
    assert dataset.to_table().column("row_id").to_pylist() == [1]


@pytest.mark.parametrize("asset", ["../x", "word/../../x", "/etc", "word//x", "a\0b", ".", "word/..", "a\\b"])
def test_hostile_assets_never_leave_the_lake(lake, asset):
    with pytest.raises(ValueError, match="no lake path"):
        lake.write(asset, rows(1), replace(lineage(), asset=asset))


@pytest.mark.parametrize("week", ["../../x", "a/b", "a\0"])
def test_hostile_partitions_never_leave_the_lake(lake, week):
    with pytest.raises(ValueError, match="no lake path"):
        lake.write("word/pairs", rows(1), lineage(week))


def test_the_content_hash_sees_rows_order_and_types_but_not_chunks_or_metadata():
    one = rows(1, 2, 3)
    chunked = pa.concat_tables([rows(1), rows(2, 3)])
    assert content_hash(one) == content_hash(chunked)
    assert content_hash(one) == content_hash(one.replace_schema_metadata({"a": "b"}))
    others = [rows(1, 3, 2), rows(1, 2), one.cast(pa.schema([("row_id", pa.int32())])), one.rename_columns(["x"])]
    assert len({content_hash(table) for table in [one, *others]}) == 5


def test_the_content_hash_ignores_what_lies_under_a_null():
    mask, sevens = pa.array([True, False]), pa.array([7, 7])
    masked = pa.table({"n": pc.if_else(mask, sevens, pa.scalar(None, pa.int64()))})
    plain = pa.table({"n": pa.array([7, None], pa.int64())})
    assert masked.equals(plain)
    assert content_hash(masked) == content_hash(plain)
