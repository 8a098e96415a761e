"""What a benchmark task is: pinned data, a protocol and metrics, applied to one version."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from registry.reader import Version
from registry.records import Score


class BenchmarkError(Exception):
    """Base of all errors of this package."""


class InvalidTask(BenchmarkError, ValueError):  # noqa: N818 - reads as what it is
    """A task file without a usable `TASK`, or two tasks with one id."""


class UnknownTask(BenchmarkError, KeyError):  # noqa: N818
    """No task has that id; the message lists close matches."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0]) if self.args else ""


class InvalidTaskFile(BenchmarkError, ValueError):  # noqa: N818
    """A file that the user gave cannot be read as the task needs it; names file and line."""


class Undefined(BenchmarkError):  # noqa: N818
    """Raised inside a protocol where these data give no value; it becomes scores without one.

    Args:
        reason: what is missing and how much there is.
        rows_used: how many examples there were.
        rows_left_out: how many could not be used.
    """

    def __init__(self, reason: str, *, rows_used: int = 0, rows_left_out: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rows_used = rows_used
        self.rows_left_out = rows_left_out


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Everything that a task may look at.

    Attributes:
        version: the version to judge.
        history: weeks back -> the version of the same embedding that many data weeks earlier.
        together: name, such as `producer/consumer_producer`, -> version, for all that was trained in one run with
            `version`, itself included: one space.
        earlier: weeks back -> `together` of that many data weeks earlier.
        labels: label tables by name, such as `truth_words`.
        files: files that the user gave: `<task>/<name>`, such as `analogy/questions-words`, -> path.
        week: Monday of the version's newest data week.
        seed: of every random draw.
    """

    version: Version
    history: Mapping[int, Version] = field(default_factory=dict)
    together: Mapping[str, Version] = field(default_factory=dict)
    earlier: Mapping[int, Mapping[str, Version]] = field(default_factory=dict)
    labels: Mapping[str, pa.Table] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    week: str = ""
    seed: int = 0

    def files_of(self, task: str) -> dict[str, Path]:
        """Name -> path of the files given for a task, by name."""
        prefix = f"{task}/"
        return {name.removeprefix(prefix): path for name, path in sorted(self.files.items()) if name.startswith(prefix)}

    def lineage(self, label: str) -> dict[str, Any]:
        """Which rows a label table held, for a score's details: name, rows, sha256 of their content."""
        table = self.labels[label]
        digest = hashlib.sha256()
        for batch in table.combine_chunks().to_batches(max_chunksize=2**16):
            digest.update(batch.serialize())
        return {"table": label, "rows": table.num_rows, "sha256": digest.hexdigest()}


def always(_: Evaluation) -> bool:
    """Every version of the task's entity is judged."""
    return True


@dataclass(frozen=True, kw_only=True)
class Task:
    """One benchmark task; `benchmarks/tasks/<name>.py` holds one as `TASK`.

    Larger is better for every metric.

    Attributes:
        id: such as `stability.v1`; a changed protocol gets a new id.
        entity: the entity type it judges; None for any.
        score: the protocol; may raise `Undefined` where the data give no value.
        about: one sentence for the UI.
        title: its name on the leaderboard; empty keeps it off.
        headline: the metrics that the leaderboard shows, as a pattern such as `spearman_*`; empty takes the first.
        applies: whether the question makes sense for a version; where not, there is no score at all.
        metrics: what it reports; each gets an undefined score where the task cannot run.
        needs_labels: label tables it cannot run without.
        uses_labels: label tables that it looks at where they are there.
        needs_files: files, by name, it cannot run without.
        needs_history: how many weeks back it compares with; 0 where it looks at one version.
        judges: how many weeks back the version is that its scores belong to: 1 where the version of the week before
            is asked about this week's events.
    """

    id: str
    entity: str | None
    score: Callable[[Evaluation], Sequence[Score]]
    about: str
    title: str = ""
    headline: str = ""
    applies: Callable[[Evaluation], bool] = always
    metrics: tuple[str, ...] = ("value",)
    needs_labels: tuple[str, ...] = ()
    uses_labels: tuple[str, ...] = ()
    needs_files: tuple[str, ...] = ()
    needs_history: int = 0
    judges: int = 0


def undefined_score(task_id: str, metric: str, gap: Undefined, *, seed: int) -> Score:
    """A score without a value that says why."""
    return Score(
        task=task_id,
        metric=metric,
        value=None,
        rows_used=gap.rows_used,
        rows_left_out=gap.rows_left_out,
        seed=seed,
        undefined=gap.reason,
    )
