"""SQL files on Arrow inputs."""

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from embedding_assets.tables.engine import connect, load_sql, query, registered, union_weighted
from embedding_assets.tables.errors import TableError

KEYS = pa.table({"code": pa.array([1, 0], pa.int32()), "key": ["b", "a"]})


@pytest.fixture
def con():
    with connect(threads=1) as connection:
        yield connection


def test_a_query_reads_tables_and_datasets_alike(con, tmp_path):
    pq.write_table(KEYS, tmp_path / "keys.parquet")
    from_table = query(con, "stable_ids", {"keys": KEYS})
    from_dataset = query(con, "stable_ids", {"keys": ds.dataset(tmp_path)})
    assert from_table["key"].to_pylist() == ["a", "b"]
    assert from_dataset.equals(from_table)


def test_an_unknown_query_names_the_known_ones():
    with pytest.raises(TableError, match=r"'pear'.*known: .*pairs"):
        load_sql("pear")


@pytest.mark.parametrize("name", ["../engine", "pairs.sql", ""])
def test_a_query_name_is_no_path(name):
    with pytest.raises(TableError):
        load_sql(name)


def test_what_was_registered_is_forgotten_also_after_an_error(con):
    with pytest.raises(duckdb.Error), registered(con, {"keys": KEYS}):
        con.sql("SELECT nonsense FROM keys").fetchall()
    with pytest.raises(duckdb.CatalogException):
        con.sql("SELECT * FROM keys")


def test_union_weighted_adds_the_weight_of_each_week(con):
    weeks = {"2026-01-12": KEYS.slice(0, 1), "2026-01-05": KEYS}
    with union_weighted(con, "u", weeks, {"2026-01-05": 3, "2026-01-12": 8}):
        rows = con.sql("SELECT key, weight FROM u ORDER BY ALL").fetchall()
    assert rows == [("a", 3), ("b", 3), ("b", 8)]
    assert con.sql("SHOW TABLES").fetchall() == []


def test_connect_takes_its_limits(tmp_path):
    with connect(memory_limit="123MB", threads=1, spill=tmp_path) as con:
        settings = dict(con.sql("SELECT name, value FROM duckdb_settings()").fetchall())
    assert settings["memory_limit"].startswith("117")  # MiB
    assert (settings["temp_directory"], settings["threads"]) == (str(tmp_path), "1")


def test_a_sort_larger_than_memory_spills(tmp_path):
    with connect(memory_limit="40MB", threads=1, spill=tmp_path) as con:
        sql = "SELECT count(*) FROM (SELECT hash(i) AS h FROM range(3000000) t(i) ORDER BY h LIMIT 2999999)"
        assert con.sql(sql).fetchall() == [(2_999_999,)]
