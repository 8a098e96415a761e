"""How well versions of several ages answer for a week that none of them has seen.

The week's counted pairs ask questions: given a row (a word, a user), which of two columns did it occur with, the one
drawn from the week's pairs or the one drawn from noise? A version answers by its own score, the dot product of the
trainer's two sides. All versions get the same questions, so two of them are compared question by question.

Sizes: R rows and C columns of the week, N pairs, Q questions, D width of a vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.neighborhoods import positions

#: Half the width of a 95% interval, in standard errors.
STANDARD_ERRORS = 1.96
#: Numbers of one block of gathered vectors: 2**22 float32 are 16 MB.
_CELLS = 2**22


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """One version as its trainer left it.

    Attributes:
        row_keys: string.
        rows: float32 vectors of the rows, one a key.
        column_keys: string.
        columns: float32 vectors of the columns, of the same width as `rows`.
        bag_of_rows: whether a new row is composed of rows (the two sides are one entity), not of columns.
    """

    row_keys: pa.Array
    rows: np.ndarray
    column_keys: pa.Array
    columns: np.ndarray
    bag_of_rows: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class WeekOfPairs:
    """What was counted in the week that is asked about.

    Attributes:
        row_keys: (R,) string.
        row_counts: (R,) float64, occurrences in the week.
        column_keys: (C,) string.
        column_counts: (C,) float64.
        row_ids: (N,) int32, sorted; each (row, column) once.
        col_ids: (N,) int32.
        counts: (N,) float32, positive.
    """

    row_keys: pa.Array
    row_counts: np.ndarray
    column_keys: pa.Array
    column_counts: np.ndarray
    row_ids: np.ndarray
    col_ids: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a week is turned into questions.

    Attributes:
        questions: how many pairs are drawn from the week, each by its count.
        noise_exponent: wrong columns are drawn by (column count) ** this, as negatives are in training.
        seed: of every draw.
    """

    questions: int = 20_000
    noise_exponent: float = 0.75
    seed: int = 0

    def __post_init__(self) -> None:
        if self.questions < 2:
            raise ValueError(f"Protocol.questions must be at least 2, got {self.questions}")
        if not 0 <= self.noise_exponent <= 1:
            raise ValueError(f"Protocol.noise_exponent must lie in [0, 1], got {self.noise_exponent}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """(Q,) int64 rows, and the columns to choose between, the right one first."""

    rows: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric of one version on one week, beside the newest version's.

    Attributes:
        age: weeks between the newest data of the version and the week.
        metric: `pair_auc`: all questions, one that the version cannot answer counted half. `same_keys_auc`: those that
            this version and the newest can both answer. `cold_start_auc`: questions about rows that the oldest version
            does not know; where a version does not know it either, its vector is the mean over the half of its
            week's pairs that nothing is asked about. `coverage`: share of the week's occurrences whose row is known.
            `key_coverage`: share of its rows.
        value: in [0, 1]; None with a reason where nothing could be asked.
        low: lower end of the 95% interval, 1.96 standard errors over questions; None for what is counted in full.
        high: upper end.
        behind: by how much the newest version is better on the same questions.
        behind_low: lower end of that difference's interval.
        behind_high: upper end.
        rows_used: questions, or rows.
        undefined: why there is no value.
    """

    age: int
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    rows_used: int = 0
    undefined: str | None = None


def judge_ages(week: WeekOfPairs, versions: Mapping[int, Sides], protocol: Protocol) -> list[Measured]:
    """Every metric of every version on one week, sorted by age.

    Args:
        week: of later data than any of the versions.
        versions: age in weeks, at least 1 -> version. They may differ in vocabulary and in width.
        protocol: how to ask.

    Raises:
        ValueError: an age under 1, which would be asked about what it was trained on.
    """
    if wrong := sorted(age for age in versions if age < 1):
        raise ValueError(f"versions of the ages {wrong} have seen the week; only older ones may be judged by it")
    if not versions:
        return []
    if not len(week.counts):
        why = "the week has no pair that is frequent enough to ask about"
        return [Measured(age=age, metric="pair_auc", value=None, undefined=why) for age in sorted(versions)]
    rng = np.random.default_rng(protocol.seed)
    asked = _draw(week, np.arange(len(week.counts)), protocol, rng)
    known = {age: _Known(week, sides) for age, sides in versions.items()}
    answers = {age: one.answer(asked) for age, one in known.items()}
    cold = _cold_answers(week, known, protocol, rng)
    newest = min(versions)
    return [
        measured
        for age in sorted(versions)
        for measured in (
            _compare(age, "pair_auc", _or_half(answers[age]), _or_half(answers[newest]), "no question was drawn"),
            _compare_same(age, answers[age], answers[newest]),
            _cold(age, cold, newest),
            *_coverage(age, week, known[age], known[newest]),
        )
    ]


class _Known:
    """The week's keys as rows of one version."""

    def __init__(self, week: WeekOfPairs, sides: Sides) -> None:
        self.sides = sides
        self.rows = positions(week.row_keys, sides.row_keys)
        self.columns = positions(week.column_keys, sides.column_keys)
        self.parts = positions(week.column_keys, sides.row_keys) if sides.bag_of_rows else self.columns

    def answer(self, asked: Questions, composed: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
        """(Q,) float64: 1 right, 0 wrong, half for a tie; NaN where a key is unknown.

        Args:
            asked: the questions.
            composed: (R,) int64 row of each of the week's rows in (M, D) vectors made for those that the version does
                not know, -1 where there is none.
        """
        vectors, rows = self.sides.rows, self.rows[asked.rows]
        if composed is not None:
            made = composed[0][asked.rows]
            rows = np.where(rows < 0, np.where(made < 0, -1, len(vectors) + made), rows)
            vectors = np.concatenate([vectors, composed[1]])
        right, wrong = self.columns[asked.right], self.columns[asked.wrong]
        able = np.flatnonzero((rows >= 0) & (right >= 0) & (wrong >= 0))
        answers = np.full(len(asked), np.nan)
        step = max(1, _CELLS // vectors.shape[1])
        for start in range(0, len(able), step):
            part = able[start : start + step]
            gain = self._score(vectors[rows[part]], right[part]) - self._score(vectors[rows[part]], wrong[part])
            answers[part] = np.where(gain > 0, 1.0, np.where(gain < 0, 0.0, 0.5))
        return answers

    def _score(self, vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.einsum("qd,qd->q", vectors, self.sides.columns[columns])

    def compose(self, week: WeekOfPairs, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of rows that the version does not know: the mean of what they occurred with, weighted by counts.

        Args:
            week: its pairs.
            pairs: ids of the pairs that may be used.

        Returns:
            (R,) int64, each of the week's rows as a row of the second, -1 without one; and (M, D) float32.
        """
        from scipy import sparse  # slow to import, and the code server need not

        vectors = self.sides.rows if self.sides.bag_of_rows else self.sides.columns
        usable = pairs[(self.rows[week.row_ids[pairs]] < 0) & (self.parts[week.col_ids[pairs]] >= 0)]
        rows, at = np.unique(week.row_ids[usable], return_inverse=True)
        weights = week.counts[usable] / np.bincount(at, week.counts[usable])[at] if len(rows) else week.counts[:0]
        places = (at, self.parts[week.col_ids[usable]])
        bags = sparse.csr_array((weights.astype(np.float32), places), shape=(len(rows), len(vectors)))
        row_of = np.full(len(week.row_keys), -1, np.int64)
        row_of[rows] = np.arange(len(rows))
        return row_of, bags @ vectors


def _draw(week: WeekOfPairs, pairs: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> Questions:
    """Questions about the given pairs, each drawn by its count, against a column drawn from noise."""
    weights = week.counts[pairs].astype(np.float64)
    drawn = pairs[rng.choice(len(pairs), size=protocol.questions, p=weights / weights.sum())]
    noise = week.column_counts**protocol.noise_exponent
    wrong = rng.choice(len(noise), size=protocol.questions, p=noise / noise.sum())
    right = week.col_ids[drawn].astype(np.int64)
    fair = wrong != right
    return Questions(rows=week.row_ids[drawn].astype(np.int64)[fair], right=right[fair], wrong=wrong[fair])


def _cold_answers(
    week: WeekOfPairs, known: Mapping[int, _Known], protocol: Protocol, rng: np.random.Generator
) -> dict[int, np.ndarray] | str:
    """Age -> (Q,) answers about rows that the oldest version does not know, or why nothing can be asked."""
    new = known[max(known)].rows < 0
    told = rng.random(len(week.counts)) < 0.5
    of_new = new[week.row_ids]
    asked_about = np.flatnonzero(of_new & ~told)
    if not len(asked_about):
        return (
            "every row of the week is known to the oldest version" if not new.any() else "new rows have too few pairs"
        )
    asked = _draw(week, asked_about, protocol, rng)
    answers = {}
    for age, one in known.items():
        answers[age] = _or_half(one.answer(asked, one.compose(week, np.flatnonzero(of_new & told))))
    return answers


def _or_half(answers: np.ndarray) -> np.ndarray:
    """Who cannot answer may guess."""
    return np.where(np.isnan(answers), 0.5, answers)


def _compare_same(age: int, own: np.ndarray, newest: np.ndarray) -> Measured:
    both = np.isfinite(own) & np.isfinite(newest)
    return _compare(age, "same_keys_auc", own[both], newest[both], "no question that it and the newest can both answer")


def _cold(age: int, cold: Mapping[int, np.ndarray] | str, newest: int) -> Measured:
    if isinstance(cold, str):
        return Measured(age=age, metric="cold_start_auc", value=None, undefined=cold)
    return _compare(age, "cold_start_auc", cold[age], cold[newest], "no question was drawn")


def _compare(age: int, metric: str, own: np.ndarray, newest: np.ndarray, otherwise: str) -> Measured:
    """Means over (Q,) answers, and the mean of their differences."""
    if not len(own):
        return Measured(age=age, metric=metric, value=None, undefined=otherwise)
    value, low, high = interval(own)
    behind, behind_low, behind_high = interval(newest - own)
    ends = {"low": low, "high": high, "behind": behind, "behind_low": behind_low, "behind_high": behind_high}
    return Measured(age=age, metric=metric, value=value, rows_used=len(own), **ends)


def _coverage(age: int, week: WeekOfPairs, own: _Known, newest: _Known) -> list[Measured]:
    size = len(week.row_keys)
    shares = {"coverage": week.row_counts / week.row_counts.sum(), "key_coverage": np.full(size, 1 / size)}
    return [
        Measured(
            age=age,
            metric=metric,
            value=float(weights[own.rows >= 0].sum()),
            behind=float(weights[newest.rows >= 0].sum() - weights[own.rows >= 0].sum()),
            rows_used=size,
        )
        for metric, weights in shares.items()
    ]


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float | None, float | None]:
    """Mean of (Q,) values and its 95% interval; without ends where there is one value."""
    numbers = np.asarray(values, np.float64)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, None, None
    error = STANDARD_ERRORS * float(numbers.std(ddof=1)) / np.sqrt(len(numbers))
    return mean, float(mean - error), float(mean + error)
