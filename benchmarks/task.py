"""What a benchmark task is: pinned data, a protocol and metrics, applied to one version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        labels: label tables by name, such as `truth_words`.
        files: files that the user gave, by the task's own names for them.
        week: Monday of the version's newest data week.
        seed: of every random draw.
    """

    version: Version
    history: Mapping[int, Version] = field(default_factory=dict)
    labels: Mapping[str, pa.Table] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    week: str = ""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One benchmark task; `benchmarks/tasks/<name>.py` holds one as `TASK`.

    Larger is better for every metric.

    Attributes:
        id: such as `stability.v1`; a changed protocol gets a new id.
        entity: the entity type it judges; None for any.
        score: the protocol; may raise `Undefined` where the data give no value.
        about: one sentence for the UI.
        metrics: what it reports; each gets an undefined score where the task cannot run.
        needs_labels: label tables it cannot run without.
        needs_files: files, by name, it cannot run without.
        needs_history: how many weeks back it compares with; 0 where it looks at one version.
    """

    id: str
    entity: str | None
    score: Callable[[Evaluation], Sequence[Score]]
    about: str
    metrics: tuple[str, ...] = ("value",)
    needs_labels: tuple[str, ...] = ()
    needs_files: tuple[str, ...] = ()
    needs_history: int = 0


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
