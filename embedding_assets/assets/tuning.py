"""The search for better settings as an asset: trials are observations, the winner a proposal that a person reviews."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from benchmarks.task import Task
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.assets.tuning_plan import Machine, plan_of, reads_of
from embedding_assets.partitions import asset_in
from embedding_assets.records import Week
from embedding_assets.search_space import Tuning
from embedding_assets.spec import EmbeddingSpec, Input
from embedding_assets.tuning.objective import judges_one_fit
from embedding_assets.tuning.search import Found, Limits
from embedding_assets.tuning.study import Trial
from registry.logs.documents import dump
from resources.accelerator import Accelerator
from resources.benchmark_files import BenchmarkFiles
from resources.engine import Engine
from resources.lake import Lake
from resources.studies import Studies

TRIALS = pa.schema(
    [
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("settings", pa.string(), nullable=False),  # JSON
        pa.field("why", pa.string()),
    ]
)


class TuningConfig(dg.Config):
    """What a run may ask for."""

    trials: int = Field(default=20, description="trials of the study in all, those of earlier runs included")
    seconds: float | None = Field(default=None, description="no trial is begun after these")
    metric: str | None = Field(default=None, description="task/metric; by default what the spec says")
    seed: int = Field(default=0, description="of the proposals")


def tuning_asset(
    spec: EmbeddingSpec,
    tasks: Sequence[Task],
    labels: Mapping[str, Input],
    partitions: dg.WeeklyPartitionsDefinition,
) -> dg.AssetsDefinition:
    """The asset `<name>/tuning`; only who asks for it makes it, no schedule does.

    Args:
        spec: the embedding.
        tasks: those that judge it.
        labels: label -> what it is read from, for what the source has.
        partitions: of every asset.
    """
    key = f"{spec.name}/tuning"
    able = [task for task in tasks if judges_one_fit(task)]
    looked_at = {name for task in able for name in (*task.needs_labels, *task.uses_labels)}
    labels = {name: read for name, read in labels.items() if name in looked_at}

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=(
            f"One row a trial of other settings for `{spec.name}`, judged on the week before this one; the best is "
            "judged on this week too, and proposed in a file. Nothing applies it but a person."
        ),
        code_version="1",
        kinds=["optuna"],
        owner=spec.owner,
        ins={name: asset_in(read) for name, read in reads_of(spec, labels).items()},
        pool="gpu",
    )
    def tuning(  # noqa: PLR0913, PLR0917 - one parameter a resource
        context: dg.AssetExecutionContext,
        config: TuningConfig,
        lake: Lake,
        engine: Engine,
        accelerator: Accelerator,
        benchmark_files: BenchmarkFiles,
        studies: Studies,
        **weeks: Any,
    ) -> dg.MaterializeResult:
        machine = Machine.of(engine, accelerator, lake.files, benchmark_files.paths(), studies.path)
        plan = plan_of(spec, tasks, labels, machine, Tuning(metric=config.metric), seed=config.seed)
        search = plan.search(weeks, context.partition_key, machine)
        found = search.run(Limits(trials=config.trials, seconds=config.seconds), _observe(context, key))
        return dg.MaterializeResult(value=trial_table(found.trials), metadata=_metadata(found, plan.target.name))

    return tuning


def trial_table(trials: Sequence[Trial]) -> pa.Table:
    """Trials in the schema `TRIALS`."""
    rows = [
        {
            "trial": trial.number,
            "value": trial.value,
            "seconds": trial.seconds,
            "settings": dump(dict(trial.settings)).decode(),
            "why": trial.why,
        }
        for trial in trials
    ]
    return pa.Table.from_pylist(rows, TRIALS)


def _observe(context: dg.AssetExecutionContext, key: str) -> Callable[[Trial, Trial], None]:
    """Logs each trial as an observation of the asset: the UI plots their numbers while the search runs."""

    def observe(trial: Trial, best: Trial) -> None:
        facts: dict[str, Any] = {"trial": trial.number, "seconds": trial.seconds, "settings": dict(trial.settings)}
        facts |= {"best_value": best.value, "best_trial": best.number}
        facts |= {"why_no_score": trial.why} if trial.value is None else {"value": trial.value}
        context.log_event(dg.AssetObservation(key.split("/"), partition=context.partition_key, metadata=facts))

    return observe


def _metadata(found: Found, metric: str) -> dict[str, Any]:
    # Loaded here: pictures need matplotlib, which the code server does without.
    from embedding_assets.tuning.picture import trials_png

    scored: dict[str, Week | float | None] = {"start_value": found.start.value, "best_value": found.best.value}
    unseen = {f"unseen_{name}_value": facts["value"] for name, facts in found.unseen.items()}
    return {
        "metric": metric,
        "trials": len(found.trials),
        "without_score": sum(trial.value is None for trial in found.trials),
        **{name: value for name, value in {**scored, **unseen}.items() if value is not None},
        "best_settings": dg.MetadataValue.json(dict(found.best.settings)),
        "proposal": dg.MetadataValue.path(str(found.file)) if found.file else "none: nothing is better",
        "course": picture(trials_png(found.trials, metric), f"best {metric} so far"),
    }
