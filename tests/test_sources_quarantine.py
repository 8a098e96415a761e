"""Rows that must be refused: the same in every format, each with its place and bytes, none lost."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import all_weeks, open_files

from embedding_assets.sources.lines import split_lines, split_records
from embedding_assets.sources.quarantine import (
    KEPT_BYTES,
    MAX_RECORD_BYTES,
    Reason,
)
from embedding_assets.sources.schema import Batch

TIME = "2026-01-06T10:00:00Z"
#: (user_id, producer_id, kind, weight, created_at) as text, the field at fault and why.
ENGAGEMENTS = [
    (("u1", "p1", "like", "2", TIME), None, None),
    (("", "p1", "like", "1", TIME), "user_id", Reason.MISSING),
    (("u\0", "p1", "like", "1", TIME), "user_id", Reason.NUL),
    (("u" * 257, "p1", "like", "1", TIME), "user_id", Reason.TOO_LONG),
    (("u2", "p\u202e1", "like", "1", TIME), "producer_id", Reason.INVISIBLE),
    (("u2", "1.7", "like", "1", TIME), "producer_id", Reason.FRACTION),
    (("u2", "12.0", "like", "1", TIME), "producer_id", Reason.FRACTION),
    (("u2", "p1", "", "1", TIME), "kind", Reason.MISSING),
    (("u2", "p1", "like", "0", TIME), "weight", Reason.NOT_POSITIVE),
    (("u2", "p1", "like", "-3", TIME), "weight", Reason.NOT_POSITIVE),
    (("u2", "p1", "like", "nan", TIME), "weight", Reason.NOT_POSITIVE),
    (("u2", "p1", "like", "1e60", TIME), "weight", Reason.NOT_POSITIVE),
    (("u2", "p1", "like", "many", TIME), "weight", Reason.NOT_NUMBER),
    (("u2", "p1", "like", "1", ""), "created_at", Reason.MISSING),
    (("u2", "p1", "like", "1", "yesterday"), "created_at", Reason.NOT_TIME),
    (("u2", "p1", "like", "1", "1970-01-01"), "created_at", Reason.TIME_RANGE),
    (("u2", "p1", "like", "1", "2026-02-30"), "created_at", Reason.NOT_TIME),
    (("u2", "../../etc/passwd", "like", "", "2026-01-06 12:00"), None, None),
    (("u2", "'; drop table users; --", "like\u200d", "0.5", TIME), None, None),
]
COLUMNS = ["user_id", "producer_id", "kind", "weight", "created_at"]


def read_all(folder: Path, table: str, file: str) -> list[Batch]:
    source = open_files(folder, f'[{table}]\npath = "{file}"')
    return list(all_weeks(source, table).values())


def refused(batches: list[Batch]) -> list[dict]:
    return [row for batch in batches for row in batch.quarantined.to_pylist()]


def write_engagements(folder: Path, form: str) -> str:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row, _, _ in ENGAGEMENTS]
    path = folder / f"events.{form}"
    if form == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=4)
    return path.name


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_same_rows_are_refused_for_the_same_reason_in_every_format(tmp_path, form):
    (batch,) = read_all(tmp_path, "engagements", write_engagements(tmp_path, form))
    header = 1 if form == "csv" else 0
    expected = [(number + 1 + header, field, reason) for number, (_, field, reason) in enumerate(ENGAGEMENTS) if reason]
    got = [(row["line"], row["field"], row["reason"]) for row in batch.quarantined.to_pylist()]
    assert got == expected
    assert batch.rows_in == batch.records == len(ENGAGEMENTS)
    assert batch.flagged == 1
    assert batch.rows.select(["user_id", "producer_id", "weight"]).to_pylist() == [
        {"user_id": "u1", "producer_id": "p1", "weight": 2.0},
        {"user_id": "u2", "producer_id": "'; drop table users; --", "weight": 0.5},
        {"user_id": "u2", "producer_id": "../../etc/passwd", "weight": 1.0},
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_refused_line_is_found_in_the_file_at_its_offset(tmp_path, form):
    name = write_engagements(tmp_path, form)
    data = (tmp_path / name).read_bytes()
    for row in refused(read_all(tmp_path, "engagements", name)):
        assert data.startswith(row["raw"], row["byte_offset"])
        assert data[: row["byte_offset"]].count(b"\n") == row["line"] - 1
        assert row["file"] == name
        assert row["table"] == "engagements"


def test_a_refused_parquet_row_is_shown_whole_as_json(tmp_path):
    name = write_engagements(tmp_path, "parquet")
    for row in refused(read_all(tmp_path, "engagements", name)):
        assert json.loads(row["raw"]) == dict(zip(COLUMNS, ENGAGEMENTS[row["line"] - 1][0], strict=True))
        assert row["byte_offset"] is None


JSON_LINES = [
    (b'{"src": 1, "dst": -0, "created_at": "2026-01-06"}', None, None),
    (b'{"src": 1.0, "dst": 2, "created_at": "2026-01-06"}', "src", Reason.FRACTION),
    (b'{"src": 1e3, "dst": 2, "created_at": "2026-01-06"}', "src", Reason.FRACTION),
    (b'{"src": true, "dst": 2, "created_at": "2026-01-06"}', "src", Reason.BOOLEAN),
    (b'{"src": [1], "dst": 2, "created_at": "2026-01-06"}', "src", Reason.NESTED),
    (b'{"src": {"id": 1}, "dst": 2, "created_at": "2026-01-06"}', "src", Reason.NESTED),
    (b'{"src": null, "dst": 2, "created_at": "2026-01-06"}', "src", Reason.MISSING),
    (b'{"dst": 2, "created_at": "2026-01-06"}', "src", Reason.MISSING),
    (b'{"src": "\\ud800", "dst": 2, "created_at": "2026-01-06"}', "src", Reason.NOT_UTF8),
    (b'{"src": "\\u0000", "dst": 2, "created_at": "2026-01-06"}', "src", Reason.NUL),
    (b'{"src": 1, "dst": 2, "created_at": 1767657600}', "created_at", Reason.NOT_TIME),
    (b'{"src": 1, "src": 2, "dst": 3, "created_at": "2026-01-06"}', None, Reason.REPEATED_KEY),
    (b'{"src": 1, "dst": 2, "x": {"y": 1, "y": 2}}', None, Reason.REPEATED_KEY),
    (b'{"src": 1, "dst": NaN, "created_at": "2026-01-06"}', None, Reason.NOT_JSON),
    (b'{"src": 1, "dst": -Infinity}', None, Reason.NOT_JSON),
    (b'{"src": 1, "dst": 2, "created_at": "2026-01-06"', None, Reason.NOT_JSON),
    (b'{"src": 1}{"src": 2}', None, Reason.NOT_JSON),
    (b'{"src": "\xff", "dst": 2}', None, Reason.NOT_UTF8),
    (b'{"src": "\x00", "dst": 2}', None, Reason.NUL),
    (b'["src", 1]', None, Reason.NOT_OBJECT),
    (b"7", None, Reason.NOT_OBJECT),
    (b"[" * 100_000, None, Reason.TOO_DEEP),
    (b'{"src": ' + b"9" * 300 + b', "dst": 2, "created_at": "2026-01-06"}', "src", Reason.TOO_LONG),
    (b'{"src": "' + b"x" * MAX_RECORD_BYTES + b'"}', None, Reason.LINE_TOO_LONG),
    (b'{"src": 9007199254740993, "dst": "b", "created_at": "2026-01-06"}', None, None),
]


def test_jsonl_refuses_what_is_not_one_plain_object(tmp_path):
    data = b"\xef\xbb\xbf" + b"\r\n\n".join(line for line, _, _ in JSON_LINES)
    (tmp_path / "f.jsonl").write_bytes(data)
    (batch,) = read_all(tmp_path, "follows", "f.jsonl")
    expected = [(2 * number + 1, field, reason) for number, (_, field, reason) in enumerate(JSON_LINES) if reason]
    rows = batch.quarantined.to_pylist()
    assert [(row["line"], row["field"], row["reason"]) for row in rows] == expected
    for row in rows:
        assert data.startswith(row["raw"], row["byte_offset"])
        whole = JSON_LINES[row["line"] // 2][0]
        assert row["raw"] == (whole if len(whole) <= MAX_RECORD_BYTES else whole[:KEPT_BYTES])
    # Neither 2**53 + 1 nor -0 went through a float.
    assert batch.rows["src"].to_pylist() == ["1", "9007199254740993"]
    assert batch.rows["dst"].to_pylist() == ["0", "b"]


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, insert, delete or repeat a few bytes, favouring those that formats care about."""
    special = [b'"', b",", b"\n", b"\r", b"\\", b"{", b"}", b"\0", b"\xff", b"\xc3", b"nan", b"\r\n"]
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(data) + 1))
        piece = special[int(rng.integers(len(special)))]
        action = int(rng.integers(4))
        if action == 0:
            data = data[:at] + piece + data[at:]
        elif action == 1:
            data = data[:at] + data[at + int(rng.integers(1, 4)) :]
        elif action == 2:
            data = data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
        else:
            data = data[:at] + data[max(0, at - 6) :]
    return data


def fuzzed(form: str, lines: int, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    if form == "csv":
        out.write(b"user_id,producer_id,kind,weight,created_at\n")
    for number in range(lines):
        row = (f"u{number}", f"p{number % 7}", 'a "b" like', "1.5", f"2026-01-{5 + number % 20:02}")
        if form == "csv":
            line = ",".join('"' + cell.replace('"', '""') + '"' for cell in row).encode()
        else:
            line = json.dumps(dict(zip(COLUMNS, row, strict=True))).encode()
        out.write(mutate(line, rng) if rng.random() < 0.5 else line)
        out.write(b"\n")
    return out.getvalue()


@pytest.mark.parametrize("form", ["csv", "jsonl", "csv.gz", "jsonl.gz"])
def test_no_fuzzed_line_is_lost(tmp_path, rng, form):
    data = fuzzed(form.removesuffix(".gz"), 3000, rng)
    (tmp_path / f"e.{form}").write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    batches = read_all(tmp_path, "engagements", f"e.{form}")
    rows = refused(batches)
    assert 500 < len(rows) < 2500  # the mutations do break rows, and never all of them
    for row in rows:
        assert data.startswith(row["raw"], row["byte_offset"])
        assert row["reason"] in set(Reason)
    # Every line that is not blank is either in a refused record or in an accepted one.
    if form.startswith("jsonl"):
        filled = [line for line in data.split(b"\n") if line.removesuffix(b"\r")]
        assert sum(batch.rows_in for batch in batches) == len(filled)
        return
    records = list(split_records(split_lines([data]), b","))[1:]
    assert sum(batch.rows_in for batch in batches) == len(records)
    kept = b"".join(record.line.raw for record in records)
    without_ends = data.split(b"\n", 1)[1].translate(None, b"\r\n")
    assert kept.translate(None, b"\r\n") == without_ends


def test_the_untouched_half_of_a_fuzzed_file_is_accepted(tmp_path, rng):
    data = fuzzed("csv", 2000, rng)
    clean = fuzzed("csv", 0, rng) + b"".join(line + b"\n" for line in fuzzed_clean_lines(data))
    (tmp_path / "dirty.csv").write_bytes(data)
    (tmp_path / "clean.csv").write_bytes(clean)
    dirty = read_all(tmp_path, "engagements", "dirty.csv")
    wanted = read_all(tmp_path, "engagements", "clean.csv")
    assert not refused(wanted)
    accepted = {row["user_id"] for batch in dirty for row in batch.rows.to_pylist()}
    missing = [row["user_id"] for batch in wanted for row in batch.rows.to_pylist() if row["user_id"] not in accepted]
    # A stray quote may join with its neighbour's into a legal record of the right width, never further.
    assert len(missing) <= 3


def fuzzed_clean_lines(data: bytes) -> list[bytes]:
    good = []
    for line in data.split(b"\n")[1:]:
        cells = line.split(b'","')
        if len(cells) == 5 and cells[0].startswith(b'"u') and cells[0][2:].isdigit():
            number = int(cells[0][2:])
            expected = b'"u%d","p%d","a ""b"" like","1.5","2026-01-%02d"' % (
                number, number % 7, 5 + number % 20,
            )  # fmt: skip
            good += [line] if line == expected else []
    return good
