"""Archives, the staging of text files, and names that would lead out of the cache."""

import gzip
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from source_files import CLICKS, WEEK, all_weeks, check, open_files

from embedding_assets.sources.quarantine import (
    InvalidSetting,
    UnreadableFile,
)

JSON_CLICKS = "".join(
    f'{{"user_id": {i}, "ad_id": 1, "created_at": "2026-01-{5 + i % 14:02}"}}\n' for i in range(5000)
).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("c.jsonl", JSON_CLICKS),
        ("c.jsonl.gz", gzip.compress(JSON_CLICKS)),
        ("c.jsonl.gz", gzip.compress(JSON_CLICKS[:61]) + gzip.compress(JSON_CLICKS[61:])),
        ("c.jsonl.zst", zstandard.compress(JSON_CLICKS)),
        ("c.jsonl.zst", zstandard.compress(JSON_CLICKS[:61]) + zstandard.compress(JSON_CLICKS[61:])),
    ],
)
def test_archives_hold_what_the_plain_file_holds(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    source = open_files(tmp_path, f"[ad_clicks]\npath = '{name}'")
    assert [b.rows_in for b in all_weeks(source, "ad_clicks").values()] == [2501, 2499]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("cut", [0.0, 0.5, 0.999])
def test_a_truncated_archive_is_an_error_not_a_shorter_file(tmp_path, compress, cut):
    name = "c.jsonl.gz" if compress is gzip.compress else "c.jsonl.zst"
    data = compress(JSON_CLICKS)
    (tmp_path / name).write_bytes(data[: int(len(data) * cut)])
    source = open_files(tmp_path, f"[ad_clicks]\npath = '{name}'")
    with pytest.raises(UnreadableFile, match=r"c\.jsonl\..* after byte \d+"):
        _ = source.first_week
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UnreadableFile, match=r"c\.parquet"):
        open_files(tmp_path, "[ad_clicks]\npath = 'c.parquet'")


def test_a_text_file_is_parsed_once_and_again_when_it_changes(tmp_path):
    toml, path = "[ad_clicks]\npath = 'c.csv'", tmp_path / "c.csv"
    source = open_files(tmp_path, toml, c__csv=CLICKS + "1,2,2026-01-06\n")
    assert source.read("ad_clicks", WEEK).rows["user_id"].to_pylist() == ["1"]
    stat = path.stat()
    path.write_text(CLICKS + "8,2,2026-01-06\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # looks unchanged: not parsed again
    assert source.read("ad_clicks", WEEK).rows["user_id"].to_pylist() == ["1"]
    path.write_text(CLICKS + "9,2,2026-01-06\n8,2,2026-01-06\n")
    assert source.read("ad_clicks", WEEK).rows["user_id"].to_pylist() == ["8", "9"]


def test_rows_taken_out_of_a_file_do_not_live_on_in_the_cache(tmp_path):
    source = open_files(tmp_path, "[ad_clicks]\npath = 'c.csv'", c__csv=CLICKS + "erased,2,2026-01-06\n")
    assert source.read("ad_clicks", WEEK).rows_in == 1
    (tmp_path / "c.csv").write_text(CLICKS + "1,2,2026-01-06\n3,4,2026-01-06\n")
    assert source.read("ad_clicks", WEEK).rows_in == 2
    staged = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert staged
    assert not any(b"erased" in path.read_bytes() for path in staged)
    assert len(list((tmp_path / "cache/text").iterdir())) == 1


def test_readers_that_race_for_a_staging_agree(tmp_path):
    source = open_files(tmp_path, "[ad_clicks]\npath = 'c.jsonl'", c__jsonl=JSON_CLICKS)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: source.read("ad_clicks", WEEK).rows, range(4)))
    assert all(table.equals(rows[0]) for table in rows)
    assert [path.name for path in (tmp_path / "cache/text").glob(".aside-*")] == []


def test_a_killed_staging_leaves_nothing_that_is_read(tmp_path):
    source = open_files(tmp_path, "[ad_clicks]\npath = 'c.jsonl'", c__jsonl=JSON_CLICKS * 4)
    worker = multiprocessing.get_context("spawn").Process(target=source.read, args=("ad_clicks", WEEK))
    worker.start()
    while not list((tmp_path / "cache").rglob(".aside-*")) and worker.is_alive():
        pass
    worker.kill()
    worker.join()
    batch = check(source.read("ad_clicks", WEEK), "ad_clicks")
    assert (batch.rows_in, batch.deduplicated) == (4 * 2501, 3 * 2501)


@pytest.mark.parametrize(
    "name",
    ["x..%2f.csv", "a'; drop table x.csv", "\u202efdp.csv", "-rf.csv", "[x].csv", "$(id).csv", "w=1.csv",
     os.fsdecode(b"\xff\xfe.csv")],
)  # fmt: skip
def test_hostile_file_names_stay_names(tmp_path, name):
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text(CLICKS + "1,../../x,2026-01-06\nbad\n")
    source = open_files(tmp_path, "[ad_clicks]\npath = 'data/*.csv'")
    batch = check(source.read("ad_clicks", WEEK), "ad_clicks")
    assert batch.rows["ad_id"].to_pylist() == ["../../x"]
    assert batch.quarantined["file"].to_pylist() == [os.fsencode(f"data/{name}").decode("utf-8", "backslashreplace")]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written == {"data", "source.toml", "cache"}


def test_a_link_among_matched_files_cannot_lead_elsewhere(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.csv").write_text(CLICKS)
    (data / "x.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(InvalidSetting, match=r"link to .*secret\.csv"):
        open_files(tmp_path, "[ad_clicks]\npath = 'data/*.csv'")
    open_files(tmp_path, "[ad_clicks]\npath = 'data/x.csv'")  # named by the user: fine


def test_a_hostile_table_name_is_only_quoted_back(tmp_path):
    with pytest.raises(InvalidSetting, match="no event table"):
        open_files(tmp_path, "['../../tweets']\npath = 'c.csv'", c__csv=CLICKS)
    assert {path.name for path in tmp_path.iterdir()} == {"c.csv", "source.toml"}
