"""The staleness study: one version kept for ever against one retrained every week, over all weeks that were judged."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from benchmarks.drift.staleness import interval

METRICS = ("pair_auc", "same_keys_auc", "cold_start_auc", "coverage", "key_coverage")

#: One row a version of one age and a metric, on one week; see `staleness.Measured`.
STALENESS = pa.schema(
    [
        pa.field("embedding", pa.string(), nullable=False),
        pa.field("week", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("trained_week", pa.string(), nullable=False),
        pa.field("age", pa.int32(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("behind", pa.float64()),
        pa.field("behind_low", pa.float64()),
        pa.field("behind_high", pa.float64()),
        pa.field("rows_used", pa.int64(), nullable=False),
        pa.field("undefined", pa.string()),
    ]
)

Row = Mapping[str, Any]


def by_age(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """How a metric falls with a version's age: means over weeks, sorted by metric and age.

    Args:
        rows: of one embedding, in the schema `STALENESS`; those without a value are left out.

    Returns:
        `metric`, `age`, `weeks`, mean `value`, and mean `behind` with the ends `low` and `high` of its 95% interval,
        1.96 standard errors over weeks. (Weeks share versions and so are not independent: the interval is a guide.)
    """
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row["value"] is not None:
            groups[row["metric"], row["age"]].append(row)
    found = []
    for metric, age in sorted(groups):
        group = groups[metric, age]
        behind, low, high = interval([row["behind"] for row in group])
        mean = sum(row["value"] for row in group) / len(group)
        summary = {"metric": metric, "age": age, "weeks": len(group), "value": mean}
        found.append(summary | {"behind": behind, "low": low, "high": high})
    return found


def kept_and_retrained(rows: Iterable[Row], kept: str | None = None) -> list[dict[str, Any]]:
    """What keeping one version would have cost in each week, sorted by metric and week.

    Args:
        rows: of one embedding, in the schema `STALENESS`.
        kept: the week up to which the kept version was trained; None takes the first that there is.

    Returns:
        `metric`, `week`, `age` of the kept version, `kept` its value, `retrained` that of the newest version, and
        `behind`, their difference on the same questions, with `low` and `high` of its interval.
    """
    defined = [row for row in rows if row["value"] is not None]
    first = kept or min((row["trained_week"] for row in defined), default=None)
    newest: dict[tuple[str, str], Row] = {}
    for row in defined:
        place = row["metric"], row["week"]
        newest[place] = min(newest.get(place, row), row, key=lambda one: one["age"])
    found = []
    for row in sorted(defined, key=lambda one: (one["metric"], one["week"])):
        if row["trained_week"] == first:
            summary = {"metric": row["metric"], "week": row["week"], "age": row["age"], "kept": row["value"]}
            # On the same questions: the newest one's own value rests on others where vocabularies differ.
            ends = {"behind": row["behind"], "low": row["behind_low"], "high": row["behind_high"]}
            found.append(summary | {"retrained": row["value"] + row["behind"]} | ends)
    return found


def gaps(weeks: Iterable[str], expected: Iterable[str]) -> str | None:
    """A sentence on the weeks that are missing among those expected; None where all are there."""
    have = set(weeks)
    missing = [week for week in expected if week not in have]
    return f"no version of {', '.join(missing)}: the curve has gaps there" if missing else None
