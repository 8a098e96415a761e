"""Are the words whose meaning moved the ones whose neighbourhood changed most in four weeks?

The planted truth says at which moment a word's meaning moved. The question has a clean answer only
where the earlier version's data end by that moment and this version's data begin at or after it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa

from benchmarks import statistics
from benchmarks.neighborhoods import (
    Shared,
    kept_share,
    nearest,
    points_one_way,
    positions,
    sample_rows,
    share_versions,
)
from benchmarks.task import Evaluation, Task, Undefined
from registry.reader import Version
from registry.records import Score

ID = "moved_words.v1"
METRICS = ("roc_auc", "recall_at_moved")
WEEKS_BACK = 4
WEEK = timedelta(weeks=1)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The weeks of data in a version: `start` inclusive, `end` exclusive, UTC."""

    start: datetime
    end: datetime


def data_window(version: Version) -> Window:
    """The data window that a version's manifest states.

    Raises:
        Undefined: the manifest names no week or no number of weeks.
    """
    week, weeks = version.week, version.manifest.window_weeks
    if week is None or weeks is None:
        raise Undefined(f"{version.reference} does not say which weeks of data it was trained on")
    last = datetime.fromisoformat(week).replace(tzinfo=UTC)
    return Window(start=last - (weeks - 1) * WEEK, end=last + WEEK)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """Labelled words with how much their neighbourhood changed.

    Attributes:
        words: n words that both versions have.
        changed: (n,) float64 in [0, 1], share of the nearest keys that were lost.
        moved: (n,) bool, whether the word's meaning moved in between.
        left_out: labelled words that could not be used.
    """

    words: list[str]
    changed: np.ndarray
    moved: np.ndarray
    left_out: int


@dataclass(frozen=True, kw_only=True)
class MovedWords:
    """Ranks labelled words by the share of their k nearest keys that they lost, and asks who leads.

    Words that moved at another moment are neither moved nor steady and are left out.

    Attributes:
        k: neighbours looked at, among all keys that both versions have; at 10 the noise of small
            corpora hides some moves (recall 0.6 on the synthetic source, 1.0 at 25).
        others: how many words that did not move are sampled to compare with.
        min_moved: moved words needed for a value.
        listed: how many of the most changed words go into the details.
    """

    k: int = 25
    others: int = 2000
    min_moved: int = 2
    listed: int = 20

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """Scores `roc_auc` and `recall_at_moved`, the recall among as many words as moved."""
        earlier, version = evaluation.history[WEEKS_BACK], evaluation.version
        moves = evaluation.labels["truth_moved_words"]
        moved = moved_between(moves, data_window(earlier), data_window(version))
        movers = set(moves.column("word").to_pylist())
        steady = set(evaluation.labels["truth_words"].column("word").to_pylist()) - movers
        ranked = self._rank(share_versions(earlier, version), set(moved), steady, seed=evaluation.seed)
        details = {
            "compared_with": earlier.reference,
            "k": self.k,
            "moved": int(ranked.moved.sum()),
            "moved_at_other_times": len(movers) - len(moved),
            "moved_at": sorted({at.date().isoformat() for at in moved.values()}),
            "top_changed": top_changed(ranked, self.listed),
        }
        return [
            _score("roc_auc", statistics.roc_auc, ranked, details, seed=evaluation.seed),
            _score(
                "recall_at_moved",
                statistics.recall_at_positives,
                ranked,
                details,
                seed=evaluation.seed,
            ),
        ]

    def _rank(self, shared: Shared, moved: set[str], steady: set[str], *, seed: int) -> Ranked:
        """Neighbourhood change of the moved words and of a sample of the steady ones."""
        moved_rows, steady_rows = (_rows_of(shared, words) for words in (moved, steady))
        left_out = len(moved) + len(steady) - len(moved_rows) - len(steady_rows)
        steady_rows = steady_rows[sample_rows(len(steady_rows), self.others, seed)]
        rows = np.concatenate([moved_rows, steady_rows])
        reason = self._gap(shared, len(moved_rows), len(steady_rows))
        if reason:
            raise Undefined(reason, rows_used=len(rows), rows_left_out=left_out)
        kept = kept_share(nearest(shared.before, rows, self.k), nearest(shared.now, rows, self.k))
        if np.ptp(kept) == 0:
            raise Undefined(f"the neighbourhoods of all {len(rows)} words changed by {1 - kept[0]:g}")
        return Ranked(
            words=shared.keys.take(pa.array(rows)).to_pylist(),
            changed=1.0 - kept,
            moved=np.arange(len(rows)) < len(moved_rows),
            left_out=left_out,
        )

    def _gap(self, shared: Shared, moved: int, steady: int) -> str | None:
        """Why these words cannot be ranked; None where they can."""
        if len(shared) < self.k + 2:
            return f"needs at least {self.k + 2} keys that both versions have, there are {len(shared)}"
        if moved < self.min_moved:
            least = self.min_moved
            return f"needs at least {least} moved words that both versions have, there are {moved}"
        if steady == 0:
            return f"all {moved} labelled words that both versions have moved; none to compare with"
        if points_one_way(shared.before) or points_one_way(shared.now):
            return f"the vectors of all {len(shared)} shared keys point the same way"
        return None


def moved_between(moves: pa.Table, earlier: Window, this: Window) -> dict[str, datetime]:
    """Words that moved after the earlier window's data and before this one's -> when.

    Raises:
        Undefined: there is none; the message says which weeks' versions would answer the question.
    """
    columns = moves.column("word").to_pylist(), moves.column("moved_at").to_pylist()
    found = {word: at for word, at in zip(*columns, strict=True) if earlier.end <= at <= this.start}
    if found:
        return found
    dates = sorted(set(columns[1]))
    hints = [_answering_weeks(at, earlier, this) for at in dates] or ["no word moves at all"]
    raise Undefined(
        f"no word moved between {earlier.end.date()} (the earlier version's data end) "
        f"and {this.start.date()} (this one's begin); {'; '.join(hints)}"
    )


def _answering_weeks(at: datetime, earlier: Window, this: Window) -> str:
    """Which versions could judge the words that moved then, with windows as long as these."""
    first = at + (this.end - this.start) - WEEK  # this window would just begin
    first += timedelta(days=-first.weekday() % 7)  # to a Monday, as versions are
    last = at + (this.end - earlier.end) - WEEK  # the earlier one would just end
    weeks = [first + n * WEEK for n in range((last - first) // WEEK + 1)]
    if not weeks:
        return f"for the moves at {at.date()} the data windows are too long in every week"
    listed = " or ".join(str(week.date()) for week in weeks)
    return f"for the moves at {at.date()} ask the version of {listed}"


def top_changed(ranked: Ranked, count: int) -> list[dict[str, object]]:
    """The words that changed most, ties by name, with whether they had moved."""
    order = sorted(range(len(ranked.words)), key=lambda i: (-ranked.changed[i], ranked.words[i]))
    return [
        {
            "word": ranked.words[i],
            "changed": float(ranked.changed[i]),
            "moved": bool(ranked.moved[i]),
        }
        for i in order[:count]
    ]


def _rows_of(shared: Shared, words: Iterable[str]) -> np.ndarray:
    """Rows of the words that both versions have, ascending."""
    return np.flatnonzero(positions(shared.keys, pa.array(sorted(words), pa.string())) >= 0)


def _score(
    metric: str,
    statistic: Callable[..., np.ndarray],
    ranked: Ranked,
    details: Mapping[str, object],
    *,
    seed: int,
) -> Score:
    """One metric of the ranking, with the floor of labels given out at random."""
    count = len(ranked.words)
    found = statistics.estimate(partial(statistic, ranked.changed, ranked.moved), count, seed=seed)
    floor = statistics.permuted_mean(
        lambda order: statistics.once(statistic, ranked.changed, ranked.moved[order]),
        count,
        seed=seed,
    )
    return Score(
        task=ID,
        metric=metric,
        **vars(found),
        floor=floor,
        rows_used=count,
        rows_left_out=ranked.left_out,
        seed=seed,
        details=details,
    )


TASK = Task(
    id=ID,
    entity="word",
    score=MovedWords(),
    metrics=METRICS,
    needs_labels=("truth_words", "truth_moved_words"),
    needs_history=WEEKS_BACK,
    about="Whether the words whose planted meaning moved changed their neighbours most in 4 weeks.",
)
