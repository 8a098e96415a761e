"""The embedding itself: sum the window, train, hand the vectors over for publishing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from pydantic import Field

from benchmarks.plots import loss_curve_png, vectors_png
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.drafts import drafts_of, earlier_tables
from embedding_assets.partitions import asset_in
from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult, Week
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.windows import window_bags, window_table
from registry import Draft
from resources.accelerator import Accelerator
from resources.engine import Engine
from resources.lake import Lake

#: Vocabularies are ordered by count, so the first keys are the most frequent ones.
MAPPED = 100

TRAINED = "window_has_pairs"
LOSS_FELL = "loss_fell"


class Training(dg.Config):
    """What a run may ask for."""

    warm_start: bool = Field(default=False, description="begin at the vectors of the newest earlier version")


class Start(NamedTuple):
    """Where training begins.

    Attributes:
        tables: vectors of an earlier version; None for the trainer's own start.
        said: `cold` or `warm`, and why or from which version; the manifest keeps it.
    """

    tables: Sequence[EmbeddingTable] | None
    said: str


COLD = Start(None, "cold")


def embedding_asset(
    spec: EmbeddingSpec, stages: Mapping[str, Mapping[str, Any]], partitions: dg.WeeklyPartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset `<name>/embedding`: one registry version per entity, week and run.

    Args:
        spec: the embedding.
        stages: asset key -> settings of the stages that it is made from, for the version's manifest.
        partitions: of every asset.
    """
    key = f"{spec.name}/embedding"

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=f"{spec.about} Trained on the last {spec.window.weeks} weeks and published to the registry.",
        code_version=spec.code_version,
        kinds=["jax"],
        owner=spec.owner,
        tags=spec.tags,
        ins={role: asset_in(read) for role, read in spec.reads.items()},
        check_specs=_check_specs(key),
        pool="gpu",
    )
    def embedding(
        context: dg.AssetExecutionContext,
        config: Training,
        engine: Engine,
        accelerator: Accelerator,
        lake: Lake,
        **weeks: Any,
    ) -> dg.MaterializeResult:
        with engine.connect() as connection:
            table = window_table(connection, spec, weeks)
        context.log.info("window: %d x %d keys, %d pairs", *table.shape, len(table))
        if min(table.shape) < 2 or not len(table):  # one key alone has no neighbours to learn from
            return _nothing_to_train(spec, list(weeks["pairs"]))
        start = warm_start(spec, lake, context.partition_key) if config.warm_start else COLD
        context.log.info("start: %s", start.said)
        result = _train(spec, accelerator, table, context, start.tables)
        drafts = drafts_of(spec, result, context.partition_key, bags=window_bags(spec, weeks), stages=stages)
        drafts = [replace(draft, training={**draft.training, "start": start.said}) for draft in drafts]
        return dg.MaterializeResult(
            value=drafts,
            metadata={**_metadata(table, result, drafts), "start": start.said},
            check_results=[_warning(TRAINED, why=f"{len(table)} pairs"), loss_fell(result.loss_curve)],
        )

    return embedding


def warm_start(spec: EmbeddingSpec, lake: Lake, week: Week) -> Start:
    """The newest earlier version's vectors, if there is one, and of the width that is trained now.

    It is no input of the asset: each version's lineage would then hold that of all versions before it.
    """
    asset, wanted = f"{spec.name}/embedding", spec.published[: len(spec.published) - len(spec.composed)]
    for then in reversed([earlier for earlier in lake.files.partitions(asset) if earlier < week]):
        found = {f"{one.entity}/{one.name}": one for one in lake.versions(asset, then)}
        if versions := [found[name] for name in wanted if name in found]:
            references = ", ".join(version.reference for version in versions)
            dim = getattr(spec.trainer, "dim", versions[0].dim)
            if versions[0].dim != dim:
                return Start(None, f"cold: {references} has {versions[0].dim} dimensions, not {dim}")
            return Start(earlier_tables(versions), f"warm, from {references}")
    return Start(None, f"cold: there is no version before {week}")


def _train(
    spec: EmbeddingSpec,
    accelerator: Accelerator,
    table: PairTable,
    context: dg.AssetExecutionContext,
    init: Sequence[EmbeddingTable] | None,
) -> TrainResult:
    """Train on the accelerator; a retry of the same week goes on where a killed step was."""
    from embedding_assets.trainers.devices import enable_compilation_cache  # loads jax: not in the code server

    cache = Path(accelerator.cache)
    enable_compilation_cache(cache / "programs")
    trainer = accelerator.placed(spec.trainer)
    checkpoint = cache / "checkpoints" / f"{spec.name}-{context.partition_key}.npz"
    return trainer.fit(table, init=init, checkpoint=checkpoint, progress=_log_progress(context))


def _log_progress(context: dg.AssetExecutionContext) -> ReportProgress:
    def log(report: Progress) -> None:
        context.log.info("epoch %d of %d: loss %.4f, %.1f s", report.epoch, report.epochs, report.loss, report.seconds)

    return log


def _nothing_to_train(spec: EmbeddingSpec, weeks: list[str]) -> dg.MaterializeResult:
    """An empty window is a state of its own: no version, a warning, and the run goes on."""
    why = f"no pair of {spec.entity} survives in the weeks {', '.join(weeks)}: no version is published"
    return dg.MaterializeResult(
        value=[],
        metadata={"why_empty": why},
        check_results=[_warning(TRAINED, passed=False, why=why), _warning(LOSS_FELL, why=why)],
    )


def loss_fell(losses: Sequence[float]) -> dg.AssetCheckResult:
    """Whether the last epoch's loss is below the first's; a trainer may report one number, or none."""
    if not losses:
        return _warning(LOSS_FELL, why="this trainer reports no loss")
    first, last = losses[0], losses[-1]
    why = f"loss {first:.4f} after the first epoch, {last:.4f} now"
    return _warning(LOSS_FELL, passed=last < first or len(losses) == 1, why=why)


def _warning(check: str, *, why: str, passed: bool = True) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, check_name=check, severity=dg.AssetCheckSeverity.WARN, description=why)


def _metadata(table: PairTable, result: TrainResult, drafts: list[Draft]) -> dict[str, Any]:
    first = drafts[0]
    return {
        "pairs": len(table),
        "keys": sum(len(draft.keys) for draft in drafts),
        "dim": first.vectors.shape[1],
        "fit_seconds": result.seconds,
        "compile_seconds": result.compile_seconds,
        "device": result.device,
        **_loss_metadata(result.loss_curve),
        **result.metrics,
        "trainer": dg.MetadataValue.json(dict(first.trainer)),
        "map": picture(
            vectors_png(first.keys[:MAPPED].to_pylist(), first.vectors[:MAPPED]),
            f"the {MAPPED} most frequent keys",
        ),
    }


def _loss_metadata(losses: Sequence[float]) -> dict[str, Any]:
    if not losses:
        return {}
    return {"loss": losses[-1], "loss_curve": picture(loss_curve_png(losses), "loss after each epoch")}


def _check_specs(key: str) -> list[dg.AssetCheckSpec]:
    asset = dg.AssetKey(key.split("/"))
    return [
        dg.AssetCheckSpec(TRAINED, asset=asset, description="there was something to train on"),
        dg.AssetCheckSpec(LOSS_FELL, asset=asset, description="the last epoch's loss is below the first's"),
    ]
