"""The rules for single cells, on Arrow and on Python values."""

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from embedding_assets.sources.cells import Column, FloatLiteral, IntLiteral
from embedding_assets.sources.quarantine import (
    MAX_KEY_BYTES,
    Faults,
    Reason,
    suggest,
)
from embedding_assets.sources.rules import judge, parse_time, strings, times, weights
from embedding_assets.sources.schema import TABLES

TIME = "2026-01-06T10:00:00Z"


def column(name: str, kind, size: int) -> Column:
    return Column(name, kind, Faults(size))


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-06T10:00:00Z",
        "2026-01-06 10:00",
        "2026-01-06t12:00:00.000+0200",
        "2026-01-06 05:30:00,0 -04:30",
        "Tue Jan 06 10:00:00 +0000 2026",
    ],
)
def test_times_in_all_their_forms(text):
    moment = datetime(2026, 1, 6, 10, tzinfo=UTC)
    assert parse_time(text) == int(moment.timestamp()) * 10**6


@pytest.mark.parametrize(
    "text",
    ["20260106", "2026-1-6", "2026-01-06T24:00", "2026-01-06T10:00+25:00", "1767657600", "٢٠٢٦-01-06",
     "2026-01-06T10:00:60Z", "Tue Foo 06 10:00:00 +0000 2026", "2026-01-06T10:00:00Z; drop"],
)  # fmt: skip
def test_what_is_not_a_time(text):
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("array", "good"),
    [
        (pa.array([2**62, 0, None, 1767657600], pa.timestamp("s")), [3]),
        (pa.array([2**31 - 1, 20_000, None], pa.date32()), [1]),
        (pa.array([1767657600 * 10**9 + 999, -1], pa.timestamp("ns", tz="Europe/Rome")), [0]),
        (pa.array([1767657600000], pa.int64()), []),
    ],
)
def test_arrow_times_outside_the_range_do_not_wrap(array, good):
    where = column("created_at", "time", len(array))
    result = times(array, where)
    assert [index for index, cell in enumerate(result.is_valid().to_pylist()) if cell] == good
    assert where.faults.bad.tolist() == [index not in good and cell.is_valid for index, cell in enumerate(array)]


def test_arrow_weights_of_any_number_type():
    cells = pa.array([1.5, math.nan, math.inf, 0.0, 1e-60, None])
    where = column("weight", "weight", len(cells))
    assert weights(cells, where)[0].as_py() == 1.5
    assert weights(cells, where)[5].as_py() == 1.0
    assert where.faults.bad.tolist() == [False, True, True, True, True, False]


def test_arrow_ids_of_the_wrong_type_are_refused_not_rounded():
    for cells, reason in [
        (pa.array([1.0, None]), Reason.FRACTION),
        (pa.array([True, None]), Reason.BOOLEAN),
        (pa.array([[1], None]), Reason.NESTED),
        (pa.array([b"\xff", None]), Reason.NOT_UTF8),
    ]:
        where = column("src", "id", 2)
        assert strings(cells, where).null_count == 2
        assert where.faults.reasons().to_pylist() == [str(reason), None]
    numbers = strings(pa.array([2**63 - 1, -1]), column("src", "id", 2))
    assert numbers.to_pylist() == ["9223372036854775807", "-1"]
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    assert strings(words, column("src", "id", 3)).to_pylist() == ["a", "b", "a"]


def test_invalid_utf8_inside_a_parquet_string_column_is_found():
    buffers = [None, pa.py_buffer(np.array([0, 2, 3], np.int32)), pa.py_buffer(b"\xff\xfea")]
    where = column("src", "id", 2)
    assert strings(pa.Array.from_buffers(pa.string(), 2, buffers), where).to_pylist() == [None, "a"]
    assert where.faults.reasons().to_pylist() == [str(Reason.NOT_UTF8), None]


def test_text_is_normalised_and_flagged_but_ids_must_be_clean():
    faults = Faults(3)
    cells = {
        "tweet_id": ["1", "2", "3"],
        "user_id": ["e\u0301", "a\u200bb", "\x1b[31m"],
        "created_at": [TIME] * 3,
        "text": ["cafe\u0301 \u202eabc", "x", "y"],
    }
    rows, flagged = judge(TABLES["tweets"], cells, faults)
    assert rows["user_id"][0].as_py() == "\u00e9"
    assert rows["text"][0].as_py() == "caf\u00e9 \u202eabc"
    assert flagged.tolist() == [True, False, False]
    assert faults.reasons().to_pylist() == [None, str(Reason.INVISIBLE), str(Reason.INVISIBLE)]


def test_the_cap_counts_bytes_after_normalisation():
    fits, too_long = "é" * (MAX_KEY_BYTES // 2), "é" * (MAX_KEY_BYTES // 2) + "x"
    where = column("src", "id", 2)
    strings([fits, too_long], where)
    assert where.faults.bad.tolist() == [False, True]


def test_values_of_metadata_are_kept_as_they_were_written():
    cells = ["x", IntLiteral("007"), FloatLiteral("1.50"), True, None, ""]
    assert strings(cells, column("value", "value", 6)).to_pylist() == [
        "x", "007", "1.50", "true", None, None,
    ]  # fmt: skip


def test_the_first_fault_of_a_row_stands():
    faults = Faults(2)
    faults.reject(np.array([True, False]), "a", Reason.NUL)
    faults.reject(np.array([True, True]), "b", Reason.MISSING)
    assert faults.fields().to_pylist() == ["a", "b"]
    assert faults.reasons().to_pylist() == [str(Reason.NUL), str(Reason.MISSING)]


def test_suggestions_name_close_matches_or_everything():
    assert suggest("languge", ["language", "text"]) == "did you mean 'language'?"
    assert suggest("zzz", ["language", "text"]) == "known: language, text"
