"""Lines and CSV records: their places, and going on after every kind of bad one."""

import numpy as np
import pytest
from source_files import WEEK, check, open_files

from embedding_assets.sources import lines as lines_module
from embedding_assets.sources.lines import Line, split_lines, split_records
from embedding_assets.sources.quarantine import (
    KEPT_BYTES,
    MAX_RECORD_BYTES,
    Reason,
)

HEADER = b"tweet_id,user_id,created_at,text\r\n"
T = b"2026-01-06T10:00:00"
CSV_RECORDS = [
    (b"1,a," + T + b",plain", None, None),
    (b"2,a," + T + b',"with ""quotes"", a comma\r\n\r\nand lines"', None, None),
    (b"3,a," + T, None, Reason.FIELD_COUNT),
    (b"4,a," + T + b",one,too many", None, Reason.FIELD_COUNT),
    (b'"5"x,a,' + T + b",text", None, Reason.BAD_QUOTE),
    (b"6,a," + T + b',"never closed', None, Reason.OPEN_QUOTE),
    (b"7,a," + T + b',"after it, nothing is lost"', None, None),
    (b"8,a," + T + b',5" tall', None, None),
    (b"9,a," + T + b",caf\xe9", "text", Reason.NOT_UTF8),
    (b"10,a\x00," + T + b",nul", "user_id", Reason.NUL),
    (b"11,a," + T + b",", None, None),
    (b"12,a," + T + b"," + b"x" * MAX_RECORD_BYTES, None, Reason.LINE_TOO_LONG),
    (b"13,a," + T + b',"closed two lines on\r\n14,""b"",x,y\r\n15"', None, None),
    (b'16,"a,' + T + b",x", None, Reason.OPEN_QUOTE),
]


def test_csv_recovers_after_every_kind_of_bad_record(tmp_path):
    data = HEADER + b"\r\n".join(record for record, _, _ in CSV_RECORDS)
    (tmp_path / "t.csv").write_bytes(data)
    batch = check(open_files(tmp_path, "[tweets]\npath = 't.csv'").read("tweets", WEEK), "tweets")
    starts = np.cumsum([len(HEADER), *(len(record) + 2 for record, _, _ in CSV_RECORDS)])
    expected = [
        (int(start), data[:start].count(b"\n") + 1, field, reason)
        for start, (_, field, reason) in zip(starts, CSV_RECORDS, strict=False)
        if reason
    ]
    rows = batch.quarantined.to_pylist()
    got = [(row["byte_offset"], row["line"], row["field"], row["reason"]) for row in rows]
    assert got == expected
    assert all(data.startswith(row["raw"], row["byte_offset"]) for row in rows)
    texts = dict(zip(*(batch.rows[name].to_pylist() for name in ("tweet_id", "text")), strict=True))
    assert texts == {
        "1": "plain",
        "2": 'with "quotes", a comma\r\n\r\nand lines',
        "7": "after it, nothing is lost",
        "8": '5" tall',
        "11": "",
        "13": 'closed two lines on\r\n14,"b",x,y\r\n15',
    }
    assert batch.records == len(CSV_RECORDS)


def test_a_stray_quote_does_not_swallow_rows_up_to_the_next_one():
    data = b'a,b\n1,"x\n2,y\n3,z"\n4,w\n'
    records = list(split_records(split_lines([data]), b","))
    # "x\n2,y\n3,z" is a legal field: only a record of another width gives the stray quote away.
    assert [record.fields for record in records] == [[b"a", b"b"], [b"1", b"x\n2,y\n3,z"], [b"4", b"w"]]
    data = b'a,b,c\n1,"x,0\n2,y,0\n3,z",0,0\n4,w,0\n'
    records = list(split_records(split_lines([data]), b","))
    assert [record.line.reason for record in records] == [None, Reason.OPEN_QUOTE, None, None, None]
    assert records[3].fields == [b"3", b'z"', b"0", b"0"]


def test_many_stray_quotes_take_linear_time():
    stray = b'1,"x\n' + b'2,"a ""b"" c"\n' * 2_000
    records = list(split_records(split_lines([b"a,b\n" + stray * 5]), b","))
    assert sum(record.line.reason is not None for record in records) == 5
    assert len(records) == 1 + 5 + 10_000


class CountingScanner(lines_module._Scanner):
    """Counts the lines that are scanned."""

    scanned = 0

    def feed(self, line: bytes) -> bool | None:
        CountingScanner.scanned += 1
        return super().feed(line)


@pytest.mark.parametrize("line", [b'x","\n', b'"\n', b'1,"x\n', b'1,"x,""\n', b'","\n', b'"a","\n', b'x","\n"y"\n'])
@pytest.mark.parametrize("width", [2, 5])
def test_scanning_is_bounded_by_the_width_however_many_quotes_are_stray(monkeypatch, line, width):
    monkeypatch.setattr(lines_module, "_Scanner", CountingScanner)
    monkeypatch.setattr(CountingScanner, "scanned", 0)
    header, body = b",".join([b"a"] * width) + b"\n", line * 2000
    records = list(split_records(split_lines([header + body]), b","))
    assert CountingScanner.scanned <= (width + 1) * body.count(b"\n")
    # Every line is in exactly one record, in its place.
    assert b"\n".join(record.line.raw for record in records) + b"\n" == header + body


def test_a_record_of_the_header_s_width_may_span_any_number_of_lines():
    text = b"\n".join([b'say ""x"", y'] * 500)
    records = list(split_records(split_lines([b'a,b,c\n"1\n","2\n","' + text + b'"\nx","\n4,5,6\n']), b","))
    assert [len(record.fields) for record in records] == [3, 3, 0, 3]
    assert records[1].fields == [b"1\n", b"2\n", text.replace(b'""', b'"')]
    assert records[2].line.reason is Reason.OPEN_QUOTE


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
def test_lines_do_not_depend_on_how_the_bytes_arrive(block):
    data = b"\xef\xbb\xbfone\r\n\n\r\ntwo\r\r\nthree"
    pieces = [data[start : start + block] for start in range(0, len(data), block)]
    assert list(split_lines(pieces)) == [
        Line(1, 3, b"one\r"),
        Line(2, 8, b""),
        Line(3, 9, b"\r"),
        Line(4, 11, b"two\r\r"),
        Line(5, 17, b"three"),
    ]


def test_an_overlong_line_costs_no_memory_and_keeps_the_offsets(monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_RECORD_BYTES", 5000)
    blocks = [b"x" * 4000] * 10 + [b"\nnext\n"]
    first, second = split_lines(blocks)
    assert first == Line(1, 0, b"x" * KEPT_BYTES, Reason.LINE_TOO_LONG)
    assert second == Line(2, 40_001, b"next")
