"""From an embedding's versions and weekly tables to what `benchmarks.drift.staleness` asks and judges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import duckdb
import pyarrow as pa

from benchmarks.drift.staleness import Protocol, Sides, WeekOfPairs, judge_ages
from benchmarks.drift.study import STALENESS
from embedding_assets.drafts import earlier_tables
from embedding_assets.records import Week
from embedding_assets.sources.schema import week_bounds
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tables.engine import Relation
from embedding_assets.windows import window_table
from registry import Version

#: Weeks that a version is followed, and how far back the relations of words are compared.
FOLLOWED = 26


def week_asked(con: duckdb.DuckDBPyConnection, spec: EmbeddingSpec, tables: Mapping[str, Relation]) -> WeekOfPairs:
    """One week's pairs, thinned as for training, of keys that occur as often as a training window asks of its weeks.

    Args:
        con: where the queries run.
        spec: whose week it is.
        tables: role -> the week's table.
    """
    prune = replace(spec.window.prune, min_count=spec.window.prune.min_count / spec.window.weeks)
    one_week = replace(spec, window=replace(spec.window, prune=prune, hold_out=0.0))
    table = window_table(con, one_week, {role: {"1970-01-05": relation} for role, relation in tables.items()})
    return WeekOfPairs(
        row_keys=table.rows.keys,
        row_counts=table.rows.counts,
        column_keys=table.columns.keys,
        column_counts=table.columns.counts,
        row_ids=table.row_ids,
        col_ids=table.col_ids,
        counts=table.counts,
    )


def sides_of(spec: EmbeddingSpec, published: Sequence[Version]) -> Sides | None:
    """The trainer's two sides, of what one training run published; None where a side is not among them."""
    names = spec.published[: len(spec.published) - len(spec.composed)]
    found = {f"{version.entity}/{version.name}": version for version in published}
    if not found.keys() >= set(names):
        return None
    tables = earlier_tables([found[name] for name in names])
    if len(tables) != 2:
        return None
    rows, columns = tables
    return Sides(
        row_keys=rows.vocabulary.keys,
        rows=rows.vectors,
        column_keys=columns.vocabulary.keys,
        columns=columns.vectors,
        bag_of_rows=len(names) == 1,
    )


def judge_week(
    spec: EmbeddingSpec,
    asked: WeekOfPairs,
    versions: Mapping[Week, Sequence[Version]],
    week: Week,
    protocol: Protocol | None = None,
) -> pa.Table:
    """Every older version of the last weeks judged on `week`, in the schema `STALENESS`.

    Args:
        spec: the embedding.
        asked: the week's pairs.
        versions: week -> what one training run published; of `week` itself and of later ones nothing is used.
        week: whose pairs they are.
        protocol: how to ask; None for the usual one.
    """
    ages = {(week_bounds(week)[0] - week_bounds(then)[0]).days // 7: found for then, found in versions.items()}
    older = {age: found for age, found in ages.items() if 1 <= age <= FOLLOWED and found}
    sides = {age: made for age, found in older.items() if (made := sides_of(spec, found)) is not None}
    rows = [
        {
            "embedding": spec.name,
            "week": week,
            "version": older[measured.age][0].reference,
            "trained_week": older[measured.age][0].week,
            **asdict(measured),
        }
        for measured in judge_ages(asked, sides, protocol or Protocol())
    ]
    return pa.Table.from_pylist(rows, STALENESS)
