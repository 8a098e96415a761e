"""What a trial is worth: train on the weeks before a held-out one, judge by the embedding's own benchmark.

Flow: settings in, a fit on the window that ends before the held-out week, versions in a registry that is thrown
away, one task's score on the labels of the held-out week out.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from benchmarks.runner import find, run_task
from benchmarks.task import Evaluation, Task
from embedding_assets.drafts import drafts_of
from embedding_assets.reach import suggest
from embedding_assets.records import PairTable, ReportProgress, Trainer, Week
from embedding_assets.search_space import Value
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec, SpecError
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.errors import TrainerError
from embedding_assets.tuned import with_settings
from embedding_assets.tuning.errors import NothingToTune
from embedding_assets.tuning.study import Hopeless, Outcome
from embedding_assets.windows import window_bags, window_table
from registry import Score, Version, open_registry

Connect = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class Target(NamedTuple):
    """What a trial is judged by."""

    task: Task
    metric: str

    @property
    def name(self) -> str:
        """Such as `topic_purity.v1/same_topic`."""
        return f"{self.task.id}/{self.metric}"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A week to be judged on, and what came before it.

    Attributes:
        week: of the labels; nothing of it is trained on.
        weeks: role of `EmbeddingSpec.reads` -> week -> dataset, all before `week`.
        labels: label tables of `week`.
        files: benchmark files that the user gave.
    """

    week: Week
    weeks: Mapping[str, Mapping[Week, ds.Dataset]]
    labels: Mapping[str, pa.Table]
    files: Mapping[str, Path] = field(default_factory=dict)


def target_of(
    spec: EmbeddingSpec, tasks: Sequence[Task], labels: Sequence[str], files: Mapping[str, Path], named: str | None
) -> Target:
    """The metric that trials are judged by.

    Args:
        spec: the embedding.
        tasks: those that judge it.
        labels: names of the label tables that there are.
        files: that the user gave.
        named: `task/metric`; None takes the first metric of the first task that can run.

    Raises:
        NothingToTune: nobody knows that task or metric, it compares versions of several weeks, or it lacks something.
    """
    known = {task.id: task for task in tasks}
    if named is not None:
        task_id, _, metric = named.partition("/")
        if task_id not in known:
            raise NothingToTune(f"{spec.name!r} is not judged by a task {task_id!r}{suggest(task_id, known)}")
        task = find(known, task_id)
        if why := _unusable(task, labels, files):
            raise NothingToTune(f"{spec.name!r} cannot be tuned by {named}: {why}")
        if metric not in task.metrics and not metric.startswith(tuple(f"{one}_" for one in task.metrics)):
            raise NothingToTune(f"the task {task_id} has no metric {metric!r}{suggest(metric, task.metrics)}")
        return Target(task, metric)
    usable = [task for task in tasks if _has_data(task, files) and not _unusable(task, labels, files)]
    if not usable:
        reasons = "; ".join(f"{task.id}: {_unusable(task, labels, files) or 'no file was given'}" for task in tasks)
        raise NothingToTune(f"no task can judge a trial of {spec.name!r} ({reasons or 'it has none'})")
    return Target(usable[0], usable[0].metrics[0])


def judges_one_fit(task: Task) -> bool:
    """Whether a task needs no more than one version; not so those that compare versions of several weeks."""
    return task.needs_history == task.judges


def _has_data(task: Task, files: Mapping[str, Path]) -> bool:
    """Whether there is something to ask about: labels, or files for a task that rests on those that it is given."""
    prefix = f"{task.id.split('.')[0]}/"
    return bool(task.needs_labels) or any(name.startswith(prefix) for name in files)


def _unusable(task: Task, labels: Sequence[str], files: Mapping[str, Path]) -> str | None:
    """Why a task cannot judge one fit of one week; None where it can."""
    if not judges_one_fit(task):
        return "it compares versions of several weeks, which says nothing about how good either is"
    lacks = [f"label table {name}" for name in task.needs_labels if name not in labels]
    lacks += [f"file {name}" for name in task.needs_files if name not in files]
    return f"needs what is not there: {', '.join(lacks)}" if lacks else None


class Bench:
    """Judges settings on one held-out week; an `Objective`.

    Args:
        spec: the embedding.
        target: what counts.
        held_out: the week and what is before it.
        connect: opens an in-memory DuckDB.
        placed: puts a trainer on the machine's device.
    """

    def __init__(
        self,
        spec: EmbeddingSpec,
        target: Target,
        held_out: HeldOut,
        connect: Connect,
        placed: Callable[[Trainer], Trainer],
    ) -> None:
        self.spec, self.target, self.held_out = spec, target, held_out
        self._connect, self._placed = connect, placed
        self._summed: tuple[Prune, PairTable] | None = None

    @property
    def trained_weeks(self) -> list[Week]:
        """The weeks that a fit sees."""
        return sorted(self.held_out.weeks["pairs"])

    def __call__(self, settings: Mapping[str, Value], progress: ReportProgress) -> Outcome:
        """Fit with `settings` in place of the spec's and score the held-out week.

        An example that the vectors cannot answer for counts as much as a guess (the task's floor), so that a setting
        cannot win by leaving the hard ones out.

        Raises:
            Hopeless: the settings do not train, or have no score.
        """
        try:
            spec = with_settings(self.spec, settings)
            trainer = self._placed(spec.trainer)
            result = trainer.fit(self._table(spec), progress=progress)
        except (TrainerError, SpecError) as error:  # such as a table with nothing left, or a diverged loss
            raise Hopeless(f"{type(error).__name__}: {error}") from error
        bags = window_bags(spec, self.held_out.weeks)
        newest = shift_week(self.held_out.week, -1)
        with tempfile.TemporaryDirectory(prefix="tuning-") as folder:
            store = open_registry(folder)
            versions = [store.publish(draft) for draft in drafts_of(spec, result, newest, bags=bags)]
            score = self._score(versions)
        if score.value is None:
            raise Hopeless(f"{self.target.name} is undefined: {score.undefined}")
        facts = {name: getattr(score, name) for name in ("low", "high", "floor", "rows_used", "rows_left_out")}
        loss = result.loss_curve[-1] if result.loss_curve else None
        return Outcome(value=answered_for(score), facts={"score": score.value, **facts, "loss": loss})

    def _table(self, spec: EmbeddingSpec) -> PairTable:
        """The summed window; kept from trial to trial while the pruning is the same."""
        prune = spec.window.prune
        if self._summed is None or self._summed[0] != prune:
            with self._connect() as connection:
                self._summed = (prune, window_table(connection, spec, self.held_out.weeks))
        return self._summed[1]

    def _score(self, versions: Sequence[Version]) -> Score:
        task, metric = self.target
        together = {f"{version.entity}/{version.name}": version for version in versions}
        judged = next(version for version in versions if task.entity in (None, version.entity))
        earlier = {task.judges: together} if task.judges else {}
        evaluation = Evaluation(
            version=judged,
            history={task.judges: judged} if task.judges else {},
            together=together,
            earlier=earlier,
            labels=self.held_out.labels,
            files=self.held_out.files,
            week=self.held_out.week,
        )
        found = {score.metric: score for score in run_task(task, evaluation)}
        # A task that is given files has one metric a file, `spearman_wordsim353`; asked for `spearman`, the first.
        named = next((name for name in found if name == metric or name.startswith(f"{metric}_")), None)
        if named is None:
            raise Hopeless(
                f"the task {task.id} gives {judged.entity}/{judged.name} no {metric!r}, only {sorted(found)}"
            )
        return found[named]


def answered_for(score: Score) -> float:
    """The score's value, with the floor (or 0) in place of every example that was left out."""
    asked = score.rows_used + score.rows_left_out
    share = score.rows_used / asked if asked else 1.0
    return share * (score.value or 0.0) + (1 - share) * (score.floor or 0.0)
