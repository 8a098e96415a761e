"""How much of what people write about stays: this week's most frequent tokens against those of earlier weeks."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from embedding_assets.records import Week
from embedding_assets.tables.engine import Relation, query, union_weighted

#: How long the lists are, as in Figure 1 of "Embeddings@Twitter" (2018).
LISTED = 5_000
KINDS = ("mention", "site", "hashtag", "word", "english word")
#: A list whose occurrences are outside of this band of the other's rests on another amount of text.
VOLUME_BAND = (0.2, 5.0)

#: One row a token, sorted by kind and rank.
TOP_TOKENS = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("token", pa.string()),
        pa.field("count", pa.int64()),
        pa.field("rank", pa.int32()),
        pa.field("listed", pa.bool_()),
        pa.field("tied", pa.bool_()),
    ]
)

#: One row a kind and an age. `share` of this week's list that was in the earlier one; `share_if_drawn` the same on
#: average if ties at the end of the lists were drawn; null with a `remark` where a list is missing or empty.
OVERLAP = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("weeks_back", pa.int32(), nullable=False),
        pa.field("week_then", pa.string(), nullable=False),
        pa.field("share", pa.float64()),
        pa.field("share_if_drawn", pa.float64()),
        pa.field("kept", pa.int64()),
        pa.field("listed", pa.int64()),
        pa.field("listed_then", pa.int64()),
        pa.field("tied", pa.int64()),
        pa.field("tied_then", pa.int64()),
        pa.field("remark", pa.string()),
    ]
)


def top_tokens(con: duckdb.DuckDBPyConnection, tokens: Relation, k: int = LISTED) -> pa.Table:
    """The k most frequent tokens of each kind in a week, and those that tie with the last of them.

    Args:
        con: where the query runs.
        tokens: as `tokenize` makes it. English is what the source calls `en` or `English`.
        k: how long a list is; a kind with fewer tokens has a shorter one.

    Returns:
        The schema `TOP_TOKENS`. `listed` are the first k, ties in the order of the alphabet; `tied` are those
        that only this order puts inside or outside.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return query(con, "top_tokens", {"tokens": tokens}, k=k).cast(TOP_TOKENS)


def token_overlap(
    con: duckdb.DuckDBPyConnection, weeks: Mapping[Week, Relation], week: Week, k: int = LISTED
) -> pa.Table:
    """How much of the lists of `week` was in the lists of each earlier week.

    Args:
        con: where the query runs.
        weeks: week -> table of the schema `TOP_TOKENS`, `week` among them; weeks that are missing between the
            oldest and `week` get rows that say so.
        week: the week whose lists are asked about.
        k: how long a list was meant to be.

    Returns:
        The schema `OVERLAP`, sorted by kind and age: a row for every kind and every age that `weeks` spans.
    """
    ages = {then: _weeks_between(then, week) for then in weeks if then <= week}
    with union_weighted(con, "weekly_tokens", {then: weeks[then] for then in ages}, ages):
        found = {(row["kind"], row["weeks_back"]): row for row in query(con, "token_overlap", {}).to_pylist()}
    oldest = max(ages.values())
    rows = [
        _row(kind, back, _before(week, back), found.get((kind, back)), there=_before(week, back) in ages, k=k)
        for kind in KINDS
        for back in range(1, oldest + 1)
    ]
    return pa.Table.from_pylist(rows, OVERLAP)


def _row(kind: str, back: int, then: Week, found: dict[str, Any] | None, *, there: bool, k: int) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "weeks_back": back, "week_then": then}
    if found is None:
        why = f"no {kind} in this week or in {then}" if there else f"the week {then} is missing"
        return row | {"remark": why}
    names = ("kept", "listed", "listed_then", "tied", "tied_then")
    return row | {
        **{name: found[name] for name in names},
        "share": found["kept"] / found["listed"],
        "share_if_drawn": _expected(found) / found["listed"],
        "remark": _remark(kind, found, then, k),
    }


def _expected(found: Mapping[str, int]) -> float:
    """Tokens in both lists, on average, if each list drew its last places among those that tie for them."""
    now = found["tied_listed"] / found["tied"] if found["tied"] else 0.0
    past = found["tied_listed_then"] / found["tied_then"] if found["tied_then"] else 0.0
    return found["both_sure"] + now * found["now_tied"] + past * found["then_tied"] + now * past * found["both_tied"]


def _remark(kind: str, found: Mapping[str, int], then: Week, k: int) -> str | None:
    """What to know before the number is believed; None where it is what it looks like."""
    said = [
        f"{when} has only {size:,} of {k:,} {kind}s"
        for when, size in (("this week", found["listed"]), (then, found["listed_then"]))
        if size < k
    ]
    ratio = found["occurrences"] / found["occurrences_then"]
    if not VOLUME_BAND[0] <= ratio <= VOLUME_BAND[1]:
        said.append(f"this week's list was used {ratio:.2g} times as often as that of {then}")
    return "; ".join(said) or None


def _weeks_between(first: Week, last: Week) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days // 7


def _before(week: Week, weeks: int) -> Week:
    return (date.fromisoformat(week) - timedelta(weeks=weeks)).isoformat()
