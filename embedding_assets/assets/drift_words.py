"""Whose relations changed: `drift/noise_floor` and `drift/word_relations`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.drift.figures import similarity_png
from benchmarks.drift.relations import (
    CHANGES,
    NOISE,
    Looking,
    changed,
    pair_noise,
    seed_noise,
    similarities,
    telling_pairs,
)
from benchmarks.task import Undefined
from embedding_assets.aging import FOLLOWED
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.drafts import centered
from embedding_assets.partitions import weeks_between, window_in
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.windows import window_table
from registry import Version
from resources.accelerator import Accelerator
from resources.engine import Engine

NOISE_FLOOR = "drift/noise_floor"
#: A second training is dear, and noise changes little: it is measured once in so many weeks.
EVERY = 4
#: Besides the length of its window, how many weeks back a version is compared with.
FURTHER_BACK = (13, FOLLOWED)
STORED, SHOWN, PICTURED = 500, 20, 5

_EMBEDDING = pa.field("embedding", pa.string(), nullable=False)
NOISE_ROWS = pa.schema([_EMBEDDING, *NOISE])
RELATIONS = pa.schema(
    [
        _EMBEDDING,
        pa.field("weeks_back", pa.int32(), nullable=False),
        pa.field("before", pa.string(), nullable=False),
        pa.field("now", pa.string(), nullable=False),
        *CHANGES,
    ]
)

Versions = Mapping[Week, Sequence[Version]]


def noise_floor_asset(specs: Sequence[EmbeddingSpec], partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `drift/noise_floor`: what another seed changes, measured in every fourth week."""
    # Each table once, though two embeddings may read it: Dagster takes no asset as two inputs.
    longest = _longest_windows(specs)
    named = {asset: asset.replace("/", "__") for asset in longest}
    ins = {named[asset]: window_in(asset, first=1 - weeks) for asset, weeks in longest.items()}
    for spec in specs:
        ins[f"{spec.name}__versions"] = window_in(f"{spec.name}/embedding", first=0, load_as="versions")

    @weekly_asset(
        key=NOISE_FLOOR,
        partitions=partitions,
        about=(
            "One row a word: how much of its neighbourhood a second training of the same weeks keeps, with another "
            f"seed. Made in every {EVERY}th week, empty in the others. What changes less is noise, not drift."
        ),
        code_version="1",
        kinds=["jax"],
        ins=ins,
        pool="gpu",
    )
    def noise_floor(
        context: dg.AssetExecutionContext, engine: Engine, accelerator: Accelerator, **inputs: Any
    ) -> dg.MaterializeResult:
        week = context.partition_key
        index = weeks_between(partitions.get_first_partition_key() or week, week)
        if index % EVERY != EVERY - 1:
            said = f"measured in every {EVERY}th week; this is week {index + 1}"
            return dg.MaterializeResult(value=NOISE_ROWS.empty_table(), metadata={"why_empty": said})
        parts, metadata = [], {}
        for spec in specs:
            tables = {role: inputs[named[asset]] for role, asset in spec.window.assets.items()}
            given = {role: _recent(found, week, spec.window.weeks) for role, found in tables.items()}
            found = _own(inputs[f"{spec.name}__versions"].get(week, []), spec)
            try:
                parts.append(_measure(spec, found, given, engine, accelerator))
            except Undefined as gap:
                metadata[f"{spec.name} undefined"] = gap.reason
            else:
                for name in ("kept", "similarity_noise"):
                    metadata[f"{spec.name} {name}"] = float(np.mean(parts[-1][name].to_numpy()))
        return dg.MaterializeResult(value=_with_name(NOISE_ROWS, parts), metadata=metadata)

    return noise_floor


def _longest_windows(specs: Sequence[EmbeddingSpec]) -> dict[str, int]:
    """Asset -> how many weeks of it the longest of the windows sums."""
    longest: dict[str, int] = {}
    for spec in specs:
        for asset in spec.window.assets.values():
            longest[asset] = max(spec.window.weeks, longest.get(asset, 1))
    return longest


def _recent(weeks: Mapping[Week, Any], week: Week, count: int) -> dict[Week, Any]:
    """The last `count` weeks of a longer window."""
    return {then: found for then, found in weeks.items() if weeks_between(then, week) < count}


def _measure(
    spec: EmbeddingSpec, version: Version | None, weeks: Mapping[str, Any], engine: Engine, accelerator: Accelerator
) -> pa.Table:
    """Train the week once more with the next seed, and compare it with the version that was published."""
    if version is None:
        raise Undefined("no version was published in this week")
    with engine.connect() as connection:
        pairs = window_table(connection, spec, weeks)
    trainer: Any = accelerator.placed(spec.trainer)
    side = replace(trainer, seed=trainer.seed + 1).fit(pairs).tables[0]
    vectors = centered(side.vectors)[0] if spec.metric == "cosine" else side.vectors
    looking = Looking()
    noise = seed_noise((version.keys(), version.numpy()), (side.vocabulary.keys, vectors), looking)
    return _named(noise, embedding=spec.name)


def word_relations_asset(
    specs: Sequence[EmbeddingSpec], partitions: dg.WeeklyPartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset `drift/word_relations`: Figure 2 of "Embeddings@Twitter" (2018)."""

    @weekly_asset(
        key="drift/word_relations",
        partitions=partitions,
        about=(
            f"One row a word, the {STORED} whose nearest words changed most between two versions: this week's and that "
            f"of a window, {FURTHER_BACK[0]} and {FURTHER_BACK[1]} weeks before. Less what another seed alone changes "
            f"(`{NOISE_FLOOR}`). Pictures show the similarity of telling pairs over time."
        ),
        code_version="1",
        kinds=["numpy"],
        ins={
            "noise": window_in(NOISE_FLOOR, first=1 - 2 * EVERY, load_as="found"),
            **{f"{spec.name}__versions": _followed(spec) for spec in specs},
        },
    )
    def word_relations(
        context: dg.AssetExecutionContext, noise: dict[str, Any], **versions: Any
    ) -> dg.MaterializeResult:
        parts, metadata = [], {}
        for spec in specs:
            found = {
                week: own for week, made in versions[f"{spec.name}__versions"].items() if (own := _own(made, spec))
            }
            tables, said = compare_back(spec, found, context.partition_key, newest_noise(noise, spec.name))
            parts += tables
            metadata |= said
        return dg.MaterializeResult(value=_with_name(RELATIONS, parts), metadata=metadata)

    return word_relations


def _followed(spec: EmbeddingSpec) -> dg.AssetIn:
    return window_in(f"{spec.name}/embedding", first=-FOLLOWED, load_as="versions")


def newest_noise(weeks: Mapping[Week, Any], embedding: str) -> pa.Table | None:
    """The newest measured noise of an embedding, in the schema `NOISE`; None where none was measured."""
    for week in sorted(weeks, reverse=True):
        table = weeks[week].to_table(filter=pc.field("embedding") == embedding)
        if table.num_rows:
            return table.select(NOISE.names)
    return None


def compare_back(
    spec: EmbeddingSpec, versions: Mapping[Week, Version], week: Week, noise: pa.Table | None
) -> tuple[list[pa.Table], dict[str, Any]]:
    """This week's version against earlier ones: tables in the schema `RELATIONS`, and what the UI shows."""
    now = versions.get(week)
    if now is None:
        return [], {f"{spec.name} remarks": "no version was published in this week"}
    tables, metadata, remarks = [], {}, []
    if noise is None:
        remarks.append("no noise floor yet: what a second seed changes is not taken off")
    for back in (spec.window.weeks, *FURTHER_BACK):
        before = versions.get(shift_week(week, -back))
        if before is None:
            remarks.append(f"no version of {back} weeks before")
            continue
        try:
            changes = changed(before, now, noise, Looking())
        except Undefined as gap:
            remarks.append(f"{before.reference}: {gap.reason}")
            continue
        if before.dim != now.dim:
            remarks.append(f"{before.reference} has {before.dim} dimensions, not {now.dim}: its space cannot be turned")
        metadata |= _told(spec, changes, versions, back, noise)
        tables.append(
            _named(changes.slice(0, STORED), spec.name, weeks_back=back, before=before.reference, now=now.reference)
        )
    return tables, {**metadata, f"{spec.name} remarks": "; ".join(remarks) or "none"}


def _told(
    spec: EmbeddingSpec, changes: pa.Table, versions: Mapping[Week, Version], back: int, noise: pa.Table | None
) -> dict[str, Any]:
    label = f"{spec.name} {back}w"
    pairs = telling_pairs(changes, PICTURED)
    spread = dict(zip(pairs, pair_noise(noise, pairs), strict=True))
    title = f"{spec.name}: words that changed most in {back} weeks, and whom they lost and gained"
    numbers = {f"{label} neighbors_kept": float(np.mean(changes["kept"].to_numpy()))}
    if noise is not None:
        numbers[f"{label} beyond_noise"] = float(np.mean(changes["beyond_noise"].to_numpy(zero_copy_only=False)))
    return {
        **numbers,
        f"{label} words": dg.MetadataValue.md(changes_markdown(changes.slice(0, SHOWN))),
        f"{label} over time": picture(similarity_png(similarities(versions, pairs).to_pylist(), spread, title), title),
    }


def changes_markdown(changes: pa.Table) -> str:
    """A markdown table of the first words of `CHANGES`."""
    lines = [
        f"| {_cell(row['key'])} | {row['change']:.2f} | {row['kept']:.2f} | {_cell(', '.join(row['lost']))} "
        f"| {_cell(', '.join(row['gained']))} |"
        for row in changes.to_pylist()
    ]
    return "\n".join(["| word | change | kept | lost | gained |", "|---|---|---|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _own(published: Sequence[Version], spec: EmbeddingSpec) -> Version | None:
    """The version of the embedding's rows among what one training published."""
    return next((one for one in published if f"{one.entity}/{one.name}" == spec.published[0]), None)


def _named(table: pa.Table, embedding: str, **more: Any) -> pa.Table:
    """`table` with constant columns in front."""
    constants = {"embedding": embedding, **more}
    columns = [pa.array([value] * len(table)) for value in constants.values()]
    return pa.table([*columns, *table.columns], names=[*constants, *table.column_names])


def _with_name(schema: pa.Schema, parts: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(part.cast(schema) for part in parts)])
