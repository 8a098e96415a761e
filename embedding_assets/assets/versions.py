"""The embedding itself: sum the window, train, hand the vectors over for publishing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.plots import loss_curve_png, vectors_png
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.drafts import drafts_of
from embedding_assets.partitions import window_in
from embedding_assets.records import PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tables.window import Side, sum_window
from registry import Draft
from resources.accelerator import Accelerator
from resources.engine import Engine

#: Vocabularies are ordered by count, so the first keys are the most frequent ones.
MAPPED = 150

TRAINED = "window_has_pairs"
LOSS_FELL = "loss_fell"


def embedding_asset(spec: EmbeddingSpec, partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `<name>/embedding`: one registry version per entity, week and run."""
    key = f"{spec.name}/embedding"

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=f"{spec.about} Trained on the last {spec.window.weeks} weeks and published to the registry.",
        code_version=spec.code_version,
        kinds=["jax"],
        owner=spec.owner,
        tags=spec.tags,
        ins={role: window_in(asset, first=1 - spec.window.weeks) for role, asset in spec.window.assets.items()},
        check_specs=_check_specs(key),
        pool="gpu",
    )
    def embedding(
        context: dg.AssetExecutionContext, engine: Engine, accelerator: Accelerator, **weeks: Any
    ) -> dg.MaterializeResult:
        table = _window(spec, engine, weeks)
        context.log.info("window: %d x %d keys, %d pairs", *table.shape, len(table))
        if min(table.shape) < 2 or not len(table):  # one key alone has no neighbours to learn from
            return _nothing_to_train(spec, list(weeks["pairs"]))
        from embedding_assets.trainers.devices import enable_compilation_cache  # loads jax: not in the code server

        enable_compilation_cache(Path(accelerator.cache))
        trainer = replace(spec.trainer, device=accelerator.device)  # pyright: ignore[reportArgumentType] - trainers are dataclasses
        result = trainer.fit(table, progress=_log_progress(context))
        drafts = drafts_of(spec, result, context.partition_key)
        return dg.MaterializeResult(
            value=drafts,
            metadata=_metadata(table, result, drafts),
            check_results=_check(result, table),
        )

    return embedding


def _window(spec: EmbeddingSpec, engine: Engine, weeks: dict[str, Any]) -> PairTable:
    rows = Side(entity=spec.entity, weeks=weeks["rows"])
    columns = None
    if spec.window.column_entity:
        columns = Side(entity=spec.window.column_entity, weeks=weeks["columns"])
    with engine.connect() as connection:
        return sum_window(connection, weeks["pairs"], rows, columns, prune=spec.window.prune)


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


def _check(result: TrainResult, table: PairTable) -> list[dg.AssetCheckResult]:
    first, last = result.loss_curve[0], result.loss_curve[-1]
    fell = last < first or len(result.loss_curve) == 1
    return [
        _warning(TRAINED, why=f"{len(table)} pairs"),
        _warning(LOSS_FELL, passed=fell, why=f"loss {first:.4f} after the first epoch, {last:.4f} now"),
    ]


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
        "loss": result.loss_curve[-1],
        **result.metrics,
        "trainer": dg.MetadataValue.json(dict(first.trainer)),
        "loss_curve": picture(loss_curve_png(result.loss_curve), "loss after each epoch"),
        "map": picture(
            vectors_png(first.keys[:MAPPED].to_pylist(), first.vectors[:MAPPED]),
            f"the {MAPPED} most frequent keys",
        ),
    }


def _check_specs(key: str) -> list[dg.AssetCheckSpec]:
    asset = dg.AssetKey(key.split("/"))
    return [
        dg.AssetCheckSpec(TRAINED, asset=asset, description="there was something to train on"),
        dg.AssetCheckSpec(LOSS_FELL, asset=asset, description="the last epoch's loss is below the first's"),
    ]
