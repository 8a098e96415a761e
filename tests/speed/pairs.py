"""Pair counting against the self-join that a database would be asked for: the same tokens, the same table."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from embedding_assets.tables.engine import connect, query, registered
from embedding_assets.tables.pairs import PAIRS, count_pairs
from embedding_assets.tables.vocabulary import encode_words
from tests.speed.corpus import WINDOW, read_tweets
from tests.speed.measuring import measured

#: Raw English tokens of each row.
ROWS = {"pairs-1m": 1_000_000, "pairs-5m": 5_000_000}
NAMES = tuple(ROWS)

#: Every place of every conversation is a row; pairs are what a join of the places with themselves finds.
SELF_JOIN = """
WITH places AS (
    SELECT conversation, unnest(codes) AS code, unnest(range(len(codes))) AS place FROM corpus
),
pairs AS (
    SELECT a.code AS a, b.code AS b, count(*) AS n
    FROM places AS a
    JOIN places AS b
        ON a.conversation = b.conversation AND a.place <> b.place AND abs(a.place - b.place) <= $window
    GROUP BY a.code, b.code
)
SELECT lesser.id AS row_id, greater.id AS col_id, n AS count
FROM pairs
JOIN ids AS lesser ON lesser.code = pairs.a
JOIN ids AS greater ON greater.code = pairs.b
ORDER BY row_id, col_id
"""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One count of one side."""

    seconds: float
    peak_bytes: int


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`; `quality_held` says that both tables are equal."""
    for name in only or NAMES:
        tweets = read_tweets(data, ROWS[name])
        yield against_self_join(name, pa.table({"words": pa.array(tweets, pa.list_(pa.string()))}), rounds)


def against_self_join(name: str, corpus: pa.Table, rounds: int) -> dict[str, Any]:
    """Medians of both sides, alternating; each side reads the words and writes the sorted table."""
    ours, peer, equal = [], [], True
    for _ in range(rounds):
        counted, mine = _round(partial(count_pairs, corpus=corpus, window=WINDOW))
        joined, theirs = _round(partial(self_join, corpus=corpus, window=WINDOW))
        ours.append(mine)
        peer.append(theirs)
        equal = equal and counted.equals(joined)
    tokens = len(corpus["words"].combine_chunks().flatten())
    mine, theirs = medians(ours, tokens), medians(peer, tokens)
    return {
        "row": name,
        "ratio": round(mine["seconds"] / theirs["seconds"], 3),
        "bar": None,
        "quality_held": equal,
        "tokens": tokens,
        "pairs": counted.num_rows,
        "ours": mine,
        "peer": theirs,
    }


def self_join(con: duckdb.DuckDBPyConnection, corpus: pa.Table, window: int) -> pa.Table:
    """What `count_pairs` returns, by a join of places."""
    codes, keys = encode_words(corpus["words"])
    ids = query(con, "stable_ids", {"keys": keys}).select(["code", "id"])
    numbers = pa.array(range(len(corpus)), pa.int64())
    with registered(con, {"corpus": pa.table({"conversation": numbers, "codes": codes}), "ids": ids}):
        return con.sql(SELF_JOIN, params={"window": window}).to_arrow_table().cast(PAIRS)


def medians(rounds: list[Round], tokens: int) -> dict[str, float]:
    """Of seconds, as tokens a second too; the largest peak, which later rounds hide."""
    seconds = statistics.median(r.seconds for r in rounds)
    return {
        "seconds": round(seconds, 4),
        "tokens_per_second": round(tokens / seconds),
        "peak_bytes": max(r.peak_bytes for r in rounds),
    }


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    columns = ("seconds", "tokens_per_second", "peak_bytes")
    sides = [f"  {side:<5}" + "".join(f"{line[side][name]:>18,}" for name in columns) for side in ("ours", "peer")]
    held = "equal tables" if line["quality_held"] else "THE TABLES DIFFER: the ratio does not count"
    head = f"{line['row']}: {line['tokens']:,} tokens, {line['pairs']:,} pairs"
    titles = " " * 7 + "".join(f"{name:>18}" for name in columns)
    return "\n".join([head, titles, *sides, f"  ratio {line['ratio']}; {held}"])


def _round(count: Callable[[duckdb.DuckDBPyConnection], pa.Table]) -> tuple[pa.Table, Round]:
    with closing(connect(memory_limit="6GB")) as con:
        done = measured(partial(count, con))
    return done.result, Round(seconds=done.seconds, peak_bytes=done.peak_bytes)
