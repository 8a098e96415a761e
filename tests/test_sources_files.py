"""Files as a source: what a week holds and adds up to, made up and real."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import CLICKS, WEEK, all_weeks, check, open_files

from embedding_assets.sources.files import FileSource
from embedding_assets.sources.quarantine import (
    InvalidSetting,
    Reason,
)


def count(table: pa.Table, name: str) -> dict:
    return {row["values"]: row["counts"] for row in table[name].value_counts().to_pylist()}


# --- weeks ------------------------------------------------------------------------------------

TIMES = ["", "soon", "2026-01-20", "", "2026-01-06", "x", "2026-01-07", "2026-01-21", ""]
#: Week of each row by the rule: the last known time before it in the file, else the first.
WEEK_OF_TIMES = {"2026-01-05": 3, "2026-01-12": 0, "2026-01-19": 6}


def write_clicks(folder: Path, form: str, times: list[str]) -> str:
    rows = [{"user_id": f"u{i}", "ad_id": "a", "created_at": t} for i, t in enumerate(times)]
    path = folder / f"clicks.{form}"
    if form == "csv":
        lines = [",".join(row.values()) for row in rows]
        path.write_text(CLICKS + "\n".join(lines))
    elif form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path.name


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_row_without_a_time_counts_to_the_week_before_it(tmp_path, form):
    name = write_clicks(tmp_path, form, TIMES)
    source = open_files(tmp_path, f"[ad_clicks]\npath = '{name}'")
    batches = all_weeks(source, "ad_clicks")
    assert {week: batch.rows_in for week, batch in batches.items()} == WEEK_OF_TIMES
    assert sum(batch.quarantined.num_rows for batch in batches.values()) == 5
    assert sum(batch.records or 0 for batch in batches.values()) == len(TIMES)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_weeks_that_the_user_leaves_out_are_counted_apart(tmp_path, form):
    name = write_clicks(tmp_path, form, TIMES)
    toml = f"[weeks]\nlast = 2026-01-12\n[ad_clicks]\npath = '{name}'"
    source = open_files(tmp_path, toml)
    batches = all_weeks(source, "ad_clicks")
    assert {week: batch.rows_in for week, batch in batches.items()} == {WEEK: 3, "2026-01-12": 0}
    assert source.out_of_range("ad_clicks") == 6
    assert [batch.out_of_range for batch in batches.values()] == [6, 6]
    outside = source.read("ad_clicks", "2026-01-19")
    assert (outside.rows_in, outside.out_of_range) == (0, 6)


def test_nothing_is_out_of_range_unless_the_settings_say_so(tmp_path):
    name = write_clicks(tmp_path, "csv", TIMES)
    source = open_files(tmp_path, f"[ad_clicks]\npath = '{name}'")
    assert {batch.out_of_range for batch in all_weeks(source, "ad_clicks").values()} == {0}


def test_a_file_without_any_time_counts_to_the_first_week(tmp_path):
    toml = "[ad_clicks]\npath = '*.csv'"
    good = CLICKS + "1,2,2026-01-14\n3,4,2026-01-06\n"
    source = open_files(tmp_path, toml, a__csv=CLICKS + "1,2,never\nbroken\n", b__csv=good)
    assert (source.first_week, source.last_week) == (WEEK, "2026-01-12")
    assert [b.rows_in for b in all_weeks(source, "ad_clicks").values()] == [3, 1]


def test_a_source_without_times_needs_its_weeks_from_the_settings(tmp_path):
    topics, toml = "user_id,topic\n1,jazz\n1,jazz\n", "[user_topics]\npath = 't.csv'\n"
    source = open_files(tmp_path, toml, t__csv=topics)
    with pytest.raises(InvalidSetting, match=r"\[weeks\] first"):
        _ = source.first_week
    source = open_files(tmp_path, toml + "[weeks]\nfirst = 2026-01-05\nlast = 2026-01-12")
    first, second = all_weeks(source, "user_topics").values()
    assert first.rows.equals(second.rows)
    assert (first.rows_in, first.deduplicated) == (2, 1)


def test_weeks_that_leave_no_data_are_an_error(tmp_path):
    name = write_clicks(tmp_path, "csv", TIMES)
    toml = f"[weeks]\nlast = 2020-01-06\n[ad_clicks]\npath = '{name}'"
    with pytest.raises(InvalidSetting, match=r"no row has a time inside its weeks.*\[weeks\] first"):
        _ = open_files(tmp_path, toml).first_week


@pytest.mark.parametrize(("form", "content"), [("csv", ""), ("csv", CLICKS), ("jsonl", "\n\n")])
def test_a_file_without_rows_is_an_empty_week(tmp_path, form, content):
    toml = f"[weeks]\nfirst = {WEEK}\nlast = {WEEK}\n[ad_clicks]\npath = 'c.{form}'"
    (tmp_path / f"c.{form}").write_text(content)
    (batch,) = all_weeks(open_files(tmp_path, toml), "ad_clicks").values()
    assert (batch.rows_in, batch.records, batch.rows.num_rows) == (0, 0, 0)


# --- what a week adds up to -------------------------------------------------------------------


def test_exact_repeats_are_dropped_across_files_and_formats(tmp_path):
    pq.write_table(
        pa.table({"user_id": [1, 2], "ad_id": [7, 7], "created_at": ["2026-01-06"] * 2}),
        tmp_path / "c.parquet",
    )
    source = open_files(
        tmp_path,
        "[ad_clicks]\npath = 'c.*'",
        c__csv=CLICKS + "1,7,2026-01-06\n1,7,2026-01-06T00:00:01\n",
        c__jsonl='{"user_id": "1", "ad_id": 7, "created_at": "2026-01-06T01:00:00+01:00"}\n',
    )
    batch = check(source.read("ad_clicks", WEEK), "ad_clicks")
    assert (batch.rows_in, batch.deduplicated, batch.rows.num_rows) == (5, 2, 3)


def test_a_tweet_id_belongs_to_the_first_tweet_that_has_it(tmp_path):
    later = {"tweet_id": 1, "user_id": "u", "created_at": "2026-01-06", "text": "another"}
    pq.write_table(pa.Table.from_pylist([later]), tmp_path / "z.parquet")
    header = "tweet_id,user_id,created_at,text\n"
    lines = ["1,u,2026-01-06,one", "1,u,2026-01-06,one", '1,u,2026-01-06,"o\nther"']
    source = open_files(tmp_path, "[tweets]\npath = '*.*[vt]'", a__csv=header + "\n".join(lines))
    batch = check(source.read("tweets", WEEK), "tweets")
    assert batch.rows["text"].to_pylist() == ["one"]
    assert batch.deduplicated == 1
    csv_row, parquet_row = batch.quarantined.to_pylist()
    assert csv_row["raw"] == lines[2].encode()
    assert csv_row["byte_offset"] == len(header) + 2 * 19
    assert (csv_row["file"], csv_row["line"], csv_row["field"]) == ("a.csv", 4, "tweet_id")
    assert json.loads(parquet_row["raw"]) == later
    assert {csv_row["reason"], parquet_row["reason"]} == {str(Reason.DUPLICATE_ID)}


def test_a_tweet_id_is_its_own_in_one_week_only(tmp_path):
    header = "tweet_id,user_id,created_at,text\n"
    rows = "1,u,2026-01-06,one\n1,u,2026-01-13,two\n"
    batches = all_weeks(open_files(tmp_path, "[tweets]\npath = 't.csv'", t__csv=header + rows), "tweets")
    assert [batch.rows["tweet_id"].to_pylist() for batch in batches.values()] == [["1"], ["1"]]


def test_an_undirected_edge_is_one_record_and_two_rows(tmp_path):
    edges = "src,dst\n1,2\n2,1\n3,3\n,4\n"
    toml = "[follows]\npath = 'e.csv'\nundirected = true\nconstants = { created_at = 2026-01-06 }"
    batch = check(open_files(tmp_path, toml, e__csv=edges).read("follows", WEEK), "follows")
    pairs = zip(batch.rows["src"].to_pylist(), batch.rows["dst"].to_pylist(), strict=True)
    assert list(pairs) == [("1", "2"), ("2", "1"), ("3", "3")]
    assert (batch.records, batch.rows_in, batch.deduplicated) == (4, 7, 3)
    assert batch.quarantined.num_rows == 1


WIDE = [
    {"user_id": "1", "age": 30, "pro": True, "city": "Zürich"},
    {"user_id": "2", "age": None, "pro": False, "city": ""},
    {"user_id": "", "age": 5, "pro": None, "city": None},
    {"user_id": "4", "age": None, "pro": None, "city": "a\0b"},
]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_wide_record_is_a_row_for_each_of_its_cells(tmp_path, form):
    path = tmp_path / f"u.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(WIDE), path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in WIDE))
    else:
        cell = {None: "", True: "true", False: "false"}
        text = [",".join(str(cell.get(v, v)) for v in row.values()) for row in WIDE]
        path.write_text("user_id,age,pro,city\n" + "\n".join(text), encoding="utf-8")
    source = open_files(tmp_path, f"[user_metadata]\npath = 'u.{form}'\nwide = true")
    batch = check(source.read("user_metadata", WEEK), "user_metadata")
    assert [tuple(row.values()) for row in batch.rows.to_pylist()] == [
        ("1", "age", "30"),
        ("1", "city", "Zürich"),
        ("1", "pro", "true"),
        ("2", "pro", "false"),
    ]
    assert (batch.records, batch.rows_in) == (4, 6)
    faults = {row["field"]: row["reason"] for row in batch.quarantined.to_pylist()}
    assert faults == {"user_id": str(Reason.MISSING), "city": str(Reason.NUL)}


# --- real data --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("staging")


def test_real_tweets_of_a_week_match_a_direct_count(real_data, real_cache):
    source = FileSource.open(real_data / "tweets.toml", cache=real_cache)
    assert (source.first_week, source.last_week) == ("2014-12-29", "2016-06-27")
    batch = check(source.read("tweets", "2015-11-30"), "tweets")
    start = datetime(2015, 11, 30, tzinfo=UTC)
    rows, ids, langs = duckdb.execute(
        "select count(*), count(distinct tweet_id), count(language) from read_parquet($files)"
        " where created_at >= $start and created_at < $end",
        {
            "files": str(real_data / "tweets" / "*.parquet"),
            "start": start,
            "end": start + timedelta(days=7),
        },
    ).fetchone()  # pyright: ignore[reportGeneralTypeIssues] - a count always gives a row
    assert batch.rows_in == rows == 23_895
    assert len(batch.rows["tweet_id"].unique()) == ids == batch.rows.num_rows
    assert batch.rows.num_rows - batch.rows["lang"].null_count == langs


def test_real_weeks_add_up_to_the_files(real_data, real_cache):
    source = FileSource.open(real_data / "tweets.toml", cache=real_cache)
    weeks = ["2014-12-29", "2015-01-05", "2015-01-12", "2015-01-19", "2015-01-26"]
    got = sum(source.read("tweets", week).rows_in for week in weeks)
    (expected,) = duckdb.execute(
        "select count(*) from read_parquet($files) where created_at < timestamptz '2015-02-02 00:00:00+00'",
        {"files": str(real_data / "tweets" / "2015-0[12].parquet")},
    ).fetchone()  # pyright: ignore[reportGeneralTypeIssues]
    assert got == expected > 11_000


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_real_tweets_are_the_same_rows_from_text_as_from_parquet(real_data, tmp_path, form):
    names = ["tweet_id", "user_id", "created_at", "text", "language"]
    rows = pq.read_table(real_data / "tweets/2015-02.parquet", columns=names).to_pylist()
    with (tmp_path / f"t.{form}").open("w", newline="", encoding="utf-8") as file:
        if form == "csv":
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row, default=str) + "\n" for row in rows)
    toml = "[tweets]\npath = '{}'\ncolumns = {{ lang = 'language' }}"
    text = all_weeks(open_files(tmp_path, toml.format(f"t.{form}")), "tweets")
    parquet = open_files(tmp_path, toml.format(real_data / "tweets/2015-02.parquet"))
    assert sum(batch.rows_in for batch in text.values()) == len(rows) == 9_012
    for week, batch in all_weeks(parquet, "tweets").items():
        assert batch.rows.equals(text[week].rows)


def test_real_friendships_go_both_ways(real_data, real_cache):
    source = FileSource.open(real_data / "deezer.toml", cache=real_cache)
    assert source.first_week == source.last_week == "2017-11-06"
    batch = check(source.read("follows", "2017-11-06"), "follows")
    assert (batch.records, batch.rows_in, batch.rows.num_rows) == (125_826, 251_652, 251_652)
    assert count(batch.rows, "src") == count(batch.rows, "dst")
    topics = check(source.read("user_topics", "2017-11-06"), "user_topics")
    assert topics.rows.num_rows == 252_132
    assert len(topics.rows["topic"].unique()) == 84


def test_real_wide_metadata_becomes_attributes(real_data, real_cache):
    source = FileSource.open(real_data / "twitch.toml", cache=real_cache)
    batch = check(source.read("user_metadata", source.first_week), "user_metadata")
    assert count(batch.rows, "attribute") == dict.fromkeys(["days", "mature", "partner", "views"], 9498)
    partners = batch.rows.filter(pa.array([a == "partner" for a in batch.rows["attribute"].to_pylist()]))
    assert count(partners, "value") == {"true": 597, "false": 8901}
    likes = check(source.read("engagements", source.first_week), "engagements")
    assert likes.rows.num_rows == 156_140
    assert len(likes.rows["producer_id"].unique()) == 2_463
