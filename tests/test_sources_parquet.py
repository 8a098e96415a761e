"""Parquet's own kinds of bad rows: each is refused alone, and shown; a file that cannot be read is named."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import WEEK, check, open_files

from embedding_assets.sources.arrow_json import rows_as_json
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.quarantine import MissingColumn, Reason, UnreadableFile

GOOD_S = 1_767_693_600  # 2026-01-06T10:00:00Z
INT32, INT64 = 2**31, 2**63
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
CLICKS = "[ad_clicks]\npath = 'c.parquet'"


def not_utf8(kind: pa.DataType) -> pa.Array:
    """Two cells of text, the second of which is not UTF-8."""
    raw = pa.array([b"fine", b"caf\xe9"])
    return pa.Array.from_buffers(pa.string(), 2, raw.buffers()).cast(kind)


def open_clicks(folder: Path, **columns: object) -> FileSource:
    """Two clicks, the second with an ad that is missing, and `columns` beside or instead of theirs."""
    rows = {"user_id": ["u", "v"], "ad_id": ["a", None], "created_at": ["2026-01-06"] * 2}
    pq.write_table(pa.table(rows | columns), folder / "c.parquet")
    return open_files(folder, CLICKS)


def the_refused(source: FileSource) -> dict:
    """The one refused row of two, the other of which is accepted."""
    batch = check(source.read("ad_clicks", WEEK), "ad_clicks")
    assert (batch.rows_in, batch.records) == (2, 2)
    assert batch.rows["user_id"].to_pylist() == ["u"]
    (row,) = batch.quarantined.to_pylist()
    assert (row["line"], row["table"], row["file"]) == (2, "ad_clicks", "c.parquet")
    return row


# --- temporal extremes ------------------------------------------------------------------------

EXTREMES = [(unit, value) for unit in ("ms", "us", "ns") for value in (INT64 - 1, 1 - INT64)]
EXTREMES += [("us", 2**61), ("ms", GOOD_S * 10**6), ("s", 2**53), ("s", -(2**53))]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris", "Mars/Base"])
@pytest.mark.parametrize(("unit", "value"), EXTREMES)
def test_a_time_that_python_cannot_hold_refuses_only_its_row(tmp_path, unit, value, zone):
    times = pa.array([GOOD_S * PER_SECOND[unit], value], pa.int64()).cast(pa.timestamp(unit, zone))
    row = the_refused(open_clicks(tmp_path, ad_id=["a", "b"], created_at=times))
    assert (row["field"], row["reason"]) == ("created_at", Reason.TIME_RANGE)
    stored = value * 1000 if unit == "s" else value  # Parquet has no seconds
    assert json.loads(row["raw"]) == {"user_id": "v", "ad_id": "b", "created_at": stored}


@pytest.mark.parametrize("value", [INT32 - 1, -INT32, 2**30])
def test_a_date_that_python_cannot_hold_refuses_only_its_row(tmp_path, value):
    dates = pa.array([GOOD_S // 86400, value], pa.int32()).cast(pa.date32())
    row = the_refused(open_clicks(tmp_path, ad_id=["a", "b"], created_at=dates))
    assert (row["field"], row["reason"]) == ("created_at", Reason.TIME_RANGE)
    assert json.loads(row["raw"])["created_at"] == value


def temporal(kind: pa.DataType, value: int) -> pa.Array:
    return pa.array([value] * 2, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


UNUSED = [
    *(temporal(pa.timestamp(unit), value) for unit in ("ms", "us", "ns") for value in (INT64 - 1, -INT64 + 1, 7)),
    *(temporal(pa.duration(unit), value) for unit in PER_SECOND for value in (INT64 - 1, -INT64, 7)),
    *(temporal(pa.time32("ms"), value) for value in (INT32 - 1, -INT32, 7)),
    *(temporal(pa.time64(unit), value) for unit in ("us", "ns") for value in (INT64 - 1, -INT64, 7)),
    *(temporal(pa.date32(), value) for value in (INT32 - 1, -INT32, 7)),
    *(temporal(pa.timestamp("us", zone), 7) for zone in ("Mars/Base", "+99:99", "America", "../x")),
]


@pytest.mark.parametrize("cells", UNUSED, ids=lambda cells: f"{cells.type}-{cells[0].value}")
def test_an_unused_column_of_any_time_does_not_stop_a_refused_row(tmp_path, cells):
    row = the_refused(open_clicks(tmp_path, unused=cells))
    assert (row["field"], row["reason"]) == ("ad_id", Reason.MISSING)
    shown = json.loads(row["raw"])["unused"]
    assert shown == cells[1].value or shown == str(cells[1].as_py())


def test_times_with_nanoseconds_are_shown_as_integers(tmp_path):
    nested = pa.array([[{"at": 1}], [{"at": 5}]], pa.list_(pa.struct([("at", pa.timestamp("ns"))])))
    clock = pa.array([1, 86_399_999_999_999], pa.time64("ns"))
    row = the_refused(open_clicks(tmp_path, seen=nested, clock=clock))
    shown = json.loads(row["raw"])
    assert shown["seen"] == [{"at": 5}]
    assert shown["clock"] == 86_399_999_999_999


MOMENTS = [
    pa.array([GOOD_S, 2**61], pa.int64()).view(pa.timestamp("us")),
    pa.array([GOOD_S, 2**62], pa.int64()).view(pa.timestamp("ms", "Europe/Paris")),
    pa.array([0, 2**30], pa.int32()).view(pa.date32()),
    pa.array([0, -1], pa.int32()).view(pa.time32("ms")),
    pa.array([0, 2**62], pa.int64()).view(pa.time64("ns")),
]


@pytest.mark.parametrize("cells", MOMENTS, ids=lambda cells: str(cells.type))
def test_a_time_without_iso_8601_is_no_attribute(tmp_path, cells):
    pq.write_table(pa.table({"user_id": ["u", "v"], "joined": cells}), tmp_path / "m.parquet")
    source = open_files(tmp_path, "[user_metadata]\npath = 'm.parquet'\nwide = true")
    batch = check(source.read("user_metadata", WEEK), "user_metadata")
    assert batch.rows["user_id"].to_pylist() == ["u"]
    (row,) = batch.quarantined.to_pylist()
    assert (row["field"], row["reason"]) == ("joined", Reason.NOT_TIME)
    assert json.loads(row["raw"])["user_id"] == "v"


def test_an_attribute_in_an_unknown_zone_is_refused_without_the_others(tmp_path):
    joined = pa.array([1, None], pa.timestamp("us", "Mars/Base"))
    born = pa.array([1, None], pa.timestamp("us", "Europe/Paris"))
    table = pa.table({"user_id": ["u", "v"], "city": ["Bern", "Rome"], "born": born, "joined": joined})
    pq.write_table(table, tmp_path / "m.parquet")
    source = open_files(tmp_path, "[user_metadata]\npath = 'm.parquet'\nwide = true")
    batch = check(source.read("user_metadata", WEEK), "user_metadata")
    assert batch.rows["value"].to_pylist() == ["1970-01-01 01:00:00.000001+0100", "Bern", "Rome"]
    assert [row["field"] for row in batch.quarantined.to_pylist()] == ["joined"]


# --- text and views ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_that_is_not_utf8_is_shown_by_its_bytes(tmp_path, kind):
    row = the_refused(open_clicks(tmp_path, ad_id=not_utf8(kind)))
    assert (row["field"], row["reason"]) == ("ad_id", Reason.NOT_UTF8)
    assert b'"ad_id": "caf\xe9"' in row["raw"]


BESIDE = [
    pa.ListArray.from_arrays([0, 1, 2], not_utf8(pa.string())),
    pa.LargeListArray.from_arrays([0, 1, 2], not_utf8(pa.large_string())),
    pa.FixedSizeListArray.from_arrays(not_utf8(pa.string()), 1),
    pa.ListViewArray.from_arrays([0, 1], [1, 1], not_utf8(pa.string())),
    pa.ListArray.from_arrays([0, 1, 2], not_utf8(pa.string_view())),
    pa.StructArray.from_arrays([not_utf8(pa.string())], names=["name"]),
    pa.StructArray.from_arrays([not_utf8(pa.string_view())], names=["name"]),
    pa.StructArray.from_arrays([not_utf8(pa.string())] * 2, names=["name", "name"]),
    pa.MapArray.from_arrays([0, 1, 2], pa.array(["k", "k"]), not_utf8(pa.string_view())),
    pa.ExtensionArray.from_storage(pa.json_(pa.string_view()), not_utf8(pa.string_view())),
    not_utf8(pa.string()).dictionary_encode(),
    pa.array([b"fine", b"caf\xe9"], pa.binary_view()),
]


@pytest.mark.parametrize("cells", BESIDE, ids=lambda cells: str(cells.type))
def test_a_refused_row_is_shown_beside_any_text(tmp_path, cells):
    row = the_refused(open_clicks(tmp_path, unused=cells))
    assert (row["field"], row["reason"]) == ("ad_id", Reason.MISSING)
    assert b'"caf\xe9"' in row["raw"]
    assert json.loads(row["raw"].decode("utf-8", "surrogateescape"))["user_id"] == "v"


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()], ids=str)
def test_views_are_read_like_text(tmp_path, kind):
    times = pa.array(["2026-01-06", "2026-01-13", "2026-01-07"]).cast(kind)
    ids = pa.array(["a", "b", "an id that is longer than a view's own bytes"]).cast(kind)
    pq.write_table(pa.table({"user_id": ids, "ad_id": ids, "created_at": times}), tmp_path / "c.parquet")
    batch = check(open_files(tmp_path, CLICKS).read("ad_clicks", WEEK), "ad_clicks")
    assert batch.rows["ad_id"].to_pylist() == ["a", "an id that is longer than a view's own bytes"]


def test_wide_views_are_read_like_text(tmp_path):
    city = pa.array(["Bern", ""], pa.string_view())
    tags = pa.array([["x"], None], pa.list_(pa.string_view()))
    pq.write_table(pa.table({"user_id": ["u", "v"], "city": city, "tags": tags}), tmp_path / "m.parquet")
    source = open_files(tmp_path, "[user_metadata]\npath = 'm.parquet'\nwide = true")
    batch = check(source.read("user_metadata", WEEK), "user_metadata")
    assert batch.rows["value"].to_pylist() == ["Bern"]
    assert [row["field"] for row in batch.quarantined.to_pylist()] == ["tags"]


def test_numbers_that_json_has_not_are_shown_as_text():
    nested = pa.array([{"x": [float("inf"), 1.5]}])
    batch = pa.RecordBatch.from_pydict({"weight": pa.array([float("nan")]), "nested": nested})
    (raw,) = rows_as_json(batch)
    assert raw == b'{"weight": "nan", "nested": {"x": ["inf", 1.5]}}'


# --- files that cannot be read ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["user_id", "unused"])
def test_a_column_named_twice_is_named(tmp_path, name):
    names = ["user_id", "ad_id", "created_at", "unused", name]
    table = pa.Table.from_arrays([pa.array(["2026-01-06"])] * 5, names=names)
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(MissingColumn, match=rf"source\.toml: \[ad_clicks\] {name}: .*c\.parquet has two columns"):
        open_files(tmp_path, CLICKS)


def unreadable(kind: str) -> bytes:
    table, out = pa.table({"user_id": ["u"], "ad_id": ["a"], "created_at": ["2026-01-06"]}), io.BytesIO()
    pq.write_table(table, out, store_schema=False)
    data = out.getvalue()
    kinds = {"empty": b"", "text": b"a,b\n1,2\n", "cut": data[:-20], "name": data.replace(b"user_id", b"user\xffid")}
    return kinds[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "name"])
def test_a_file_that_is_not_parquet_is_named_with_its_table_and_field(tmp_path, kind):
    with pytest.raises(UnreadableFile, match=r"source\.toml: \[ad_clicks\] path: .*c\.parquet cannot be read"):
        open_files(tmp_path, CLICKS, c__parquet=unreadable(kind))
