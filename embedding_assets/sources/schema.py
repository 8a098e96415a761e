"""Event tables: their columns, which of them may be null, and what a source yields for one week."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pyarrow as pa

from embedding_assets.records import Week

TIME = pa.timestamp("us", tz="UTC")

#: Every id is a string: `1.7` must not become 2, and keys of any source share one type.
TABLES: dict[str, pa.Schema] = {
    "tweets": pa.schema(
        [
            pa.field("tweet_id", pa.string(), nullable=False),
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("created_at", TIME, nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("lang", pa.string()),
            pa.field("conversation_id", pa.string()),
            pa.field("in_reply_to", pa.string()),
        ]
    ),
    "engagements": pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("producer_id", pa.string(), nullable=False),
            pa.field("tweet_id", pa.string()),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("weight", pa.float32()),
            pa.field("created_at", TIME, nullable=False),
        ]
    ),
    "follows": pa.schema(
        [
            pa.field("src", pa.string(), nullable=False),
            pa.field("dst", pa.string(), nullable=False),
            pa.field("created_at", TIME, nullable=False),
        ]
    ),
    "ad_clicks": pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("ad_id", pa.string(), nullable=False),
            pa.field("created_at", TIME, nullable=False),
        ]
    ),
    "site_visits": pa.schema(
        [
            pa.field("browser_id", pa.string(), nullable=False),
            pa.field("domain", pa.string(), nullable=False),
            pa.field("created_at", TIME, nullable=False),
            pa.field("user_id", pa.string()),
        ]
    ),
    "user_topics": pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
        ]
    ),
    "user_metadata": pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("attribute", pa.string(), nullable=False),
            pa.field("value", pa.string(), nullable=False),
        ]
    ),
}

#: Planted truth that only the synthetic source has; benchmarks and tests read it as weekly
#: snapshots.
TRUTH_TABLES: dict[str, pa.Schema] = {
    # One row a content word; `topic` is the topic that uses it in this week.
    "truth_words": pa.schema(
        [
            pa.field("word", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
            pa.field("lang", pa.string(), nullable=False),
        ]
    ),
    # One row a word whose meaning moves: from the week that begins at `moved_at` on it is used by
    # `to_topic`.
    "truth_moved_words": pa.schema(
        [
            pa.field("word", pa.string(), nullable=False),
            pa.field("from_topic", pa.string(), nullable=False),
            pa.field("to_topic", pa.string(), nullable=False),
            pa.field("moved_at", TIME, nullable=False),
        ]
    ),
    "truth_phrases": pa.schema(
        [
            pa.field("phrase", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
        ]
    ),
    # Trending hashtags: used only in weeks between `born_at` (inclusive) and `died_at` (exclusive).
    "truth_hashtags": pa.schema(
        [
            pa.field("hashtag", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
            pa.field("born_at", TIME),
            pa.field("died_at", TIME),
        ]
    ),
    "truth_users": pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("community", pa.string(), nullable=False),
            pa.field("is_bot", pa.bool_(), nullable=False),
            pa.field("is_producer", pa.bool_(), nullable=False),
        ]
    ),
}

#: One row a rejected input row. `line` counts from 1 (a Parquet file's row number); `byte_offset`
#: is null where the format has none, and counts decompressed bytes in an archive; `raw` is the
#: input as it was found (a Parquet row as JSON; of a line over the length cap only its beginning).
QUARANTINE = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64()),
        pa.field("field", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """One event table in one week: what was accepted and what became of the rest.

    `rows_in == rows.num_rows + quarantined.num_rows + deduplicated` always holds, and the sums over
    all weeks, with `out_of_range` once, equal what the source's files contain.

    Attributes:
        rows: the accepted rows, in the schema of `TABLES` or `TRUTH_TABLES`, sorted by their first
            columns.
        quarantined: the rejected rows, in the schema `QUARANTINE`.
        rows_in: how many rows the source held for this week.
        deduplicated: how many were exact repeats.
        flagged: accepted rows whose text holds bidi, zero-width or other invisible format
            characters.
        records: how many stored records (lines, Parquet rows) `rows_in` came from; None where they
            are the same. An edge of an undirected graph is one record and two rows; a record of a
            wide table is one row for each of its cells.
        out_of_range: stored records of the whole table in weeks that the source was told to leave
            out; the same in every week's batch, so never to be summed over weeks.
    """

    rows: pa.Table
    quarantined: pa.Table
    rows_in: int
    deduplicated: int
    flagged: int = 0
    records: int | None = None
    out_of_range: int = 0


class Source(Protocol):
    """Where raw events come from."""

    @property
    def name(self) -> str:
        """Shown in lineage and in the UI."""
        ...

    @property
    def fingerprint(self) -> str:
        """One line that differs between sources whose weeks must not be mixed."""
        ...

    @property
    def tables(self) -> frozenset[str]:
        """Which of `TABLES` and `TRUTH_TABLES` it has."""
        ...

    @property
    def first_week(self) -> Week:
        """The first week that has data."""
        ...

    @property
    def last_week(self) -> Week | None:
        """The last week that has data; None for a source that goes on."""
        ...

    def read(self, table: str, week: Week) -> Batch:
        """All rows of `table` in `week`; a table without times is the same in every week."""
        ...


def week_bounds(week: Week) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of `week`, UTC.

    Raises:
        ValueError: `week` is not a Monday in the form YYYY-MM-DD.
    """
    start = datetime.fromisoformat(week).replace(tzinfo=UTC)
    if start.weekday() != 0 or start.date().isoformat() != week:
        raise ValueError(f"a week is named by its Monday (YYYY-MM-DD), got {week!r}")
    return start, start + timedelta(days=7)


def shift_week(week: Week, weeks: int) -> Week:
    """`week` moved by a number of weeks: `shift_week("2026-01-12", -1) == "2026-01-05"`."""
    return (week_bounds(week)[0] + timedelta(weeks=weeks)).date().isoformat()
