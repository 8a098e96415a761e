"""`embeddings drift`, `overlap` and `staleness`: what changed in words, in what is written, and what age costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from benchmarks.drift.figures import AGES, overlap_png, similarity_png, staleness_png
from benchmarks.drift.relations import Looking, changed, pair_noise, similarities
from benchmarks.drift.study import by_age, kept_and_retrained
from benchmarks.task import Undefined
from embedding_assets.aging import FOLLOWED, judge_week, week_asked
from embedding_assets.assets.drift import LISTS
from embedding_assets.assets.drift_words import NOISE_FLOOR, newest_noise
from embedding_assets.component import every_spec
from embedding_assets.reach import suggest
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week, week_bounds
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tables.engine import connect
from embedding_assets.tables.overlap import KINDS, token_overlap
from registry import Store, Version
from registry.commands.base import Output, command
from registry.errors import InvalidQuery, NotFound
from registry.show import terminal
from resources.lake_files import LakeFiles

_png = click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it into this file.")


@command("embeddings drift word --pair trump,president --week 2016-05-30 --most 10")
@click.argument("embedding")
@click.option("--pair", "pairs", multiple=True, metavar="KEY,KEY", help="Show the similarity of two keys over time.")
@click.option("--week", metavar="MONDAY", help="Up to this week; by default the newest that has a version.")
@click.option("--back", type=int, metavar="WEEKS", help="Compare with the version so long before; default: its window.")
@click.option("--most", default=10, show_default=True, help="How many of the keys that changed most to list.")
@_png
def drift(store: Store, out: Output, embedding: str, *, week: Week | None, png: Path | None, **asked: Any) -> None:
    """Show whose relations changed. EMBEDDING is a name such as word, or word/word.

    A key's change is the share of its nearest keys that is gone, less what a training with another seed loses
    (`drift/noise_floor`).
    """
    name = _named(store, embedding)
    versions = _followed(store, name, week)
    newest = max(versions)
    noise = _noise(store, name, newest)
    pairs = [_pair(text) for text in asked["pairs"]]
    over_time = similarities(versions, pairs).to_pylist()
    spread = dict(zip(pairs, pair_noise(noise, pairs), strict=True))
    before, changes, said = _compare(versions, newest, asked["back"], noise)
    rows = changes[: asked["most"]]
    if png is not None:
        png.write_bytes(similarity_png(over_time, spread, f"{name}: similarity over time"))
    document = {
        "now": versions[newest].reference,
        "before": before,
        "remark": said,
        "most_changed": rows,
        "similarity": over_time,
        "noise": [{"first": a, "second": b, "standard_deviation": spread[a, b]} for a, b in pairs],
    }
    by_week = [_week_row(then, pairs, over_time) for then in versions] if pairs else []
    shown = [row | {"lost": ", ".join(row["lost"]), "gained": ", ".join(row["gained"])} for row in rows]
    parts = [lambda: terminal.table_of(by_week, "")] if pairs else []
    parts += [lambda: terminal.plain(said or f"{versions[newest].reference} against {before}")]
    out.emit(document, *parts, lambda: terminal.table_of(shown, "nothing to compare"))


@command("embeddings overlap --week 2016-05-30 --png overlap.png")
@click.option("--week", metavar="MONDAY", help="Whose lists; by default the newest of text/top_tokens.")
@_png
def overlap(store: Store, out: Output, week: Week | None, png: Path | None) -> None:
    """Show how much of what people write about stays. Shares of the most frequent tokens, by age."""
    lake = _lake(store)
    weeks = lake.partitions(LISTS)
    if not weeks:
        raise NotFound(f"{lake.root} has no week of {LISTS}; materialise it first")
    asked = week or weeks[-1]
    if asked not in weeks:
        raise NotFound(f"{LISTS} has no week {asked}; it has {weeks[0]} to {weeks[-1]}")
    rows = _overlap(lake, asked, range(AGES[-1] + 1))
    every = [row for then in weeks if then <= asked for row in _overlap(lake, then, (0, *AGES))]
    if png is not None:
        png.write_bytes(overlap_png(rows, KINDS, asked))
    shown = [row for row in rows if row["weeks_back"] in AGES]
    for row in shown:
        past = [one["share"] for one in every if _place(one) == _place(row) and one["share"] is not None]
        row["mean_share"], row["weeks"] = (sum(past) / len(past) if past else None), len(past)
    out.emit({"week": asked, "overlap": rows}, lambda: terminal.table_of(shown, f"no week before {asked}"))


@command("embeddings staleness word --from 2015-12-07 --to 2016-06-20 --png staleness.png")
@click.argument("embedding")
@click.option("--from", "first", metavar="MONDAY", help="First week to be judged on; by default all that can be.")
@click.option("--to", "last", metavar="MONDAY", help="Last week to be judged on.")
@click.option("--kept", metavar="MONDAY", help="Week of the version that is kept for ever; by default the first.")
@_png
def staleness(
    store: Store, out: Output, embedding: str, *, first: Week | None, last: Week | None, png: Path | None, **asked: Any
) -> None:
    """Judge versions of every age on later weeks. One kept for ever, against one retrained every week."""
    spec = _spec(embedding)
    lake = _lake(store)
    versions = {week: found for week, found in _published(store, spec).items() if found}
    weeks = [
        week
        for week in lake.partitions(spec.window.pairs)
        if (first or "") <= week <= (last or week) and any(then < week for then in versions)
    ]
    rows = [row for week in weeks for row in _judge(lake, spec, versions, week).to_pylist()]
    ages, over_weeks = by_age(rows), kept_and_retrained(rows, asked["kept"])
    if png is not None:
        png.write_bytes(staleness_png(rows, f"{spec.name}: trained once, and retrained each week", asked["kept"]))
    out.emit(
        {"by_age": ages, "kept_and_retrained": over_weeks, "judged": rows},
        lambda: terminal.plain("mean over weeks by age of the version"),
        lambda: terminal.table_of(ages, "no version is older than a week that can be asked about"),
        lambda: terminal.plain("trained once, and retrained each week"),
        lambda: terminal.table_of(over_weeks, "none"),
    )


def _named(store: Store, embedding: str) -> str:
    """`word` or `word/word` as a name of the registry.

    Raises:
        NotFound: there is none, or several share the short name.
    """
    names = store.names()
    found = [name for name in names if embedding in (name, name.split("/")[1])]
    if len(found) != 1:
        raise NotFound(f"{len(found)} embeddings are called {embedding!r:.80}{suggest(embedding, found or names)}")
    return found[0]


def _followed(store: Store, name: str, week: Week | None) -> dict[Week, Version]:
    """Week -> newest version, for the last weeks up to `week` that have one."""
    weeks = sorted({info.week for info in store.versions(name) if info.week and info.week <= (week or info.week)})
    if not weeks or (week and week not in weeks):
        have = f"it has {weeks[0]} to {weeks[-1]}" if weeks else "it has none so early"
        raise NotFound(f"{name} has no version of {week or 'any week'}; {have}")
    earliest = shift_week(weeks[-1], -FOLLOWED)
    return {then: store[f"{name}@{then}"] for then in weeks if then >= earliest}


def _compare(
    versions: Mapping[Week, Version], newest: Week, back: int | None, noise: pa.Table | None
) -> tuple[str | None, list[dict[str, Any]], str | None]:
    """Reference of the earlier version, the changes since, and why there is none."""
    weeks = back or versions[newest].manifest.window_weeks or 1
    then = shift_week(newest, -weeks)
    if then not in versions:
        return None, [], f"no version of {then}, {weeks} weeks before {newest}; there are {', '.join(versions)}"
    try:
        changes = changed(versions[then], versions[newest], noise, Looking())
    except Undefined as gap:
        return versions[then].reference, [], gap.reason
    return versions[then].reference, changes.to_pylist(), None


def _noise(store: Store, name: str, week: Week) -> pa.Table | None:
    lake = _lake(store)
    weeks = {then: lake.dataset(NOISE_FLOOR, then) for then in lake.partitions(NOISE_FLOOR) if then <= week}
    return newest_noise(weeks, name.split("/")[1])


def _pair(text: str) -> tuple[str, str]:
    first, comma, second = text.partition(",")
    if not (comma and first and second):
        raise InvalidQuery(f"--pair takes two keys with a comma between, got {text!r:.80}")
    return first, second


def _week_row(week: Week, pairs: list[tuple[str, str]], over_time: list[dict[str, Any]]) -> dict[str, Any]:
    found = {(row["first"], row["second"]): row["cosine"] for row in over_time if row["week"] == week}
    return {"week": week} | {f"{first}, {second}": found[first, second] for first, second in pairs}


def _overlap(lake: LakeFiles, week: Week, ages: range | tuple[int, ...]) -> list[dict[str, Any]]:
    asked = {shift_week(week, -age): age for age in ages}
    weeks = {then: lake.dataset(LISTS, then) for then in asked if lake.exists(LISTS, then)}
    with connect() as connection:
        rows = token_overlap(connection, weeks, week).to_pylist()
    return [row for row in rows if row["weeks_back"] in ages]


def _place(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["kind"], row["weeks_back"]


def _spec(name: str) -> EmbeddingSpec:
    specs = {spec.name: spec for spec in every_spec()}
    if name not in specs:
        raise NotFound(f"no embedding {name!r:.80}{suggest(name, specs)}")
    return specs[name]


def _published(store: Store, spec: EmbeddingSpec) -> dict[Week, list[Version]]:
    """Week -> what the newest training of the week published, for weeks that have all of it."""
    known = set(store.names())
    names = [name for name in spec.published if name in known]
    weeks = sorted({info.week for name in names[:1] for info in store.versions(name) if info.week})
    published = {}
    for week in weeks:
        rows = store[f"{names[0]}@{week}"]
        others = [store[f"{name}@{week}"] for name in names[1:] if _has(store, name, week)]
        published[week] = [rows, *(one for one in others if one.space == rows.space)]
    return published


def _has(store: Store, name: str, week: Week) -> bool:
    return any(info.week == week for info in store.versions(name))


def _judge(lake: LakeFiles, spec: EmbeddingSpec, versions: Mapping[Week, list[Version]], week: Week) -> pa.Table:
    tables = {role: lake.dataset(asset, week) for role, asset in spec.window.assets.items()}
    earliest, _ = week_bounds(shift_week(week, -FOLLOWED))
    older = {then: found for then, found in versions.items() if week_bounds(then)[0] >= earliest}
    with connect() as connection:
        return judge_week(spec, week_asked(connection, spec, tables), older, week)


def _lake(store: Store) -> LakeFiles:
    """The lake beside the registry, as every home has it."""
    return LakeFiles(Path(store.root).parent / "lake")
