"""Gates: what must hold before a version is promoted.

A gate looks at the candidate and at the version that the alias names now, which is None at the first
promotion, and says whether the one may follow the other. Besides these, any function of the two that
returns a bool or a `GateResult` is a gate.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from registry.errors import InvalidPromotion
from registry.logs.documents import dump
from registry.logs.scores import is_task
from registry.reader import Version
from registry.records import Score
from registry.records_promotion import GateResult

_ROW_BLOCK = 1 << 16
_DUST = 1e-9  # 0.8 - 0.5 is a little over 0.3 in floating point


@runtime_checkable
class Check(Protocol):
    """An object that judges candidates."""

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Say whether `candidate` may take the place of `current`."""
        ...


Gate = Check | Callable[[Version, Version | None], GateResult | bool]


def judge(gates: Sequence[Gate], candidate: Version, current: Version | None) -> tuple[GateResult, ...]:
    """What every gate says, in their order; a refusal does not spare the gates after it.

    Raises:
        InvalidPromotion: a gate of the caller's returns neither a bool nor a `GateResult` with JSON numbers.
    """
    return tuple(_ask(gate, candidate, current) for gate in gates)


@dataclass(frozen=True)
class NoRegression:
    """No metric of a task is clearly worse than it was.

    A metric has regressed where it fell by more than `bound` and the fall is not noise: the lower
    end of its 95% interval is over 0. The interval of the fall follows from those of the two scores
    by adding their half-widths in square; a score without an interval counts as exact.
    It fails, too, where the candidate has no score or no value. It passes where the current version
    has none, or where there is no current version: nothing can be worse than nothing.

    Attributes:
        task: the task's id, such as `user_topic.v1`, or `user_topic` for whichever protocol.
        bound: the largest fall allowed, at least 0, in the metric's own unit.
        metric: only this one; None for every metric of the task.

    Source: Newcombe, Interval estimation for the difference between independent proportions, 1998,
        method 10 (square and add), which Zou and Donner 2008 give for any two estimates.
    """

    task: str
    bound: float = 0.0
    metric: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.bound < math.inf:
            raise ValueError(f"NoRegression.bound must be finite and at least 0, got {self.bound}")

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare every metric of the task; larger is better."""
        found = _scores(candidate, self.task, self.metric)
        before = _scores(current, self.task, self.metric) if current else {}
        numbers, problems = {}, []
        for metric in sorted(found.keys() | before.keys()):
            numbers[metric], problem = _compare(found.get(metric), before.get(metric), self.bound)
            problems += [f"{metric} {problem}"] if problem else []
        if not found:
            problems = [f"{candidate.reference} has no score of task {self.task}{_of(self.metric)}"]
        compared = sum("fall" in facts for facts in numbers.values())
        fine = f"{compared} of {len(numbers)} metrics compared, none fell clearly by more than {self.bound:g}"
        return GateResult(name=str(self), passed=not problems, why="; ".join(problems) or fine, numbers=numbers)


@dataclass(frozen=True)
class NothingFell:
    """No metric of any benchmark is clearly worse than it was; see `NoRegression` for what clearly means.

    Only metrics that have a value on both sides are compared. A new task, one that is undefined, and one that the
    candidate was not judged by yet stop nobody; they are named.

    Attributes:
        bound: the largest fall allowed, in the metric's own unit.
        bounds: task, such as `stability` or `stability.v1`, or one metric of it, such as `stability/neighbors_kept`, ->
            a bound of its own; the first that fits counts, and infinity never refuses.
    """

    bound: float = 0.05
    bounds: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        for what, bound in {"bound": self.bound, **self.bounds}.items():
            if not bound >= 0:
                raise ValueError(f"NothingFell: the bound of {what} must be at least 0, got {bound}")

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare all metrics that both versions have a value of."""
        new, old = ({_label(score): score for score in one.scores()} if one else {} for one in (candidate, current))
        numbers, problems, skipped = {}, [], []
        for metric in sorted(new.keys() | old.keys()):
            if any(side.get(metric) is None or side[metric].value is None for side in (new, old)):
                skipped.append(metric)
                continue
            numbers[metric], problem = _compare(new[metric], old[metric], self._bound_of(new[metric]))
            problems += [f"{metric} {problem}"] if problem else []
        said = [*problems] or [f"{len(numbers)} metrics compared, none fell clearly by more than it may"]
        said += [f"not compared, for want of a value: {', '.join(skipped)}"] if skipped and current else []
        return GateResult(name=str(self), passed=not problems, why="; ".join(said), numbers=numbers)

    def _bound_of(self, score: Score) -> float:
        for name, bound in self.bounds.items():
            task, _, metric = name.partition("/")
            if is_task(score, task) and metric in ("", score.metric):
                return bound
        return self.bound


def _compare(new: Score | None, old: Score | None, bound: float) -> tuple[dict[str, float | None], str | None]:
    """The numbers of one metric, and what is wrong with them."""
    numbers = {"candidate": new.value if new else None, "current": old.value if old else None}
    if new is None or new.value is None:
        why = new.undefined if new else "not recorded"
        return numbers, f"has no value: {why}"
    if old is None or old.value is None:
        return numbers, None
    fall = old.value - new.value
    down = 0.0 if old.low is None else old.value - old.low
    up = 0.0 if new.high is None else new.high - new.value
    fall_low = fall - math.hypot(down, up)
    numbers |= {"fall": fall, "fall_low": fall_low}
    if fall > bound + _DUST and fall_low > _DUST:
        return numbers, f"fell by {fall:.4g} from {old.value:.4g} to {new.value:.4g}, allowed is {bound:g}"
    return numbers, None


@dataclass(frozen=True)
class MinScore:
    """Every metric of a task, or one of them, reaches a value; the current version plays no part.

    Attributes:
        task: the task's id, with or without its protocol.
        least: the least value that passes.
        metric: only this one; None for every metric of the task.
    """

    task: str
    least: float
    metric: str | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.least):
            raise ValueError(f"MinScore.least must be finite, got {self.least}")

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare the candidate's scores with `least`."""
        found = _scores(candidate, self.task, self.metric)
        problems = [
            f"{metric} is {score.value:.4g}" if score.value is not None else f"{metric} has no value: {score.undefined}"
            for metric, score in found.items()
            if score.value is None or score.value < self.least - _DUST
        ]
        if not found:
            problems = [f"{candidate.reference} has no score of task {self.task}{_of(self.metric)}"]
        why = "; ".join(problems) or f"{', '.join(found)} reach it"
        numbers = {metric: score.value for metric, score in found.items()}
        return GateResult(name=str(self), passed=not problems, why=why, numbers=numbers)


@dataclass(frozen=True)
class MinCoverage:
    """Enough of the current version's keys still have a vector; the first promotion passes.

    Attributes:
        share: of its keys, or of their weight, in [0, 1].
        weight: an attribute of the current version, such as `count`, by which keys weigh; None: all alike.
    """

    share: float
    weight: str | None = None

    def __post_init__(self) -> None:
        _check_share("MinCoverage", self.share)

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Look all keys of `current` up in `candidate`."""
        if current is None:
            return _first(self)
        weights = self._weights(current)
        if weights is None:
            why = f"{current.reference} has no attribute {self.weight!r} of numbers to weigh keys by"
            return GateResult(name=str(self), passed=False, why=why)
        kept = candidate.rows(current.keys()) >= 0
        whole = float(weights.sum())
        covered = float(weights[kept].sum()) / whole if whole > 0 else 0.0
        why = f"{covered:.4f} of the {'weight' if self.weight else 'keys'} of {current.reference} is covered"
        numbers = {"covered": covered, "keys_gone": int(len(kept) - kept.sum())}
        return GateResult(name=str(self), passed=covered >= self.share - _DUST, why=why, numbers=numbers)

    def _weights(self, current: Version) -> np.ndarray | None:
        """(N,) float64, 0 for a null; None where there is no such column of numbers."""
        if self.weight is None:
            return np.ones(len(current))
        table = current.attributes()
        if self.weight not in table.column_names[1:] or not _is_number(table.schema.field(self.weight).type):
            return None
        return np.nan_to_num(table[self.weight].cast(pa.float64()).to_numpy(), nan=0.0)


@dataclass(frozen=True)
class MaxShrink:
    """The vocabulary does not shrink too much, whichever keys went; the first promotion passes.

    Attributes:
        share: of the current version's number of keys that may be missing, in [0, 1].
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        _check_share("MaxShrink", self.share)

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare the numbers of keys."""
        if current is None:
            return _first(self)
        shrink = 1 - len(candidate) / len(current)
        why = f"{len(current):,} keys became {len(candidate):,}, which is {-shrink:+.1%}"
        numbers = {"candidate": len(candidate), "current": len(current), "shrink": shrink}
        return GateResult(name=str(self), passed=shrink <= self.share + _DUST, why=why, numbers=numbers)


@dataclass(frozen=True)
class NotOlder:
    """The candidate's data week is not before the current version's; versions without a week pass."""

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare the weeks."""
        if current is None:
            return _first(self)
        now, then = candidate.week, current.week
        why = f"{candidate.reference} is of {now or 'no week'}, {current.reference} of {then or 'no week'}"
        return GateResult(name=str(self), passed=not (now and then and now < then), why=why)


@dataclass(frozen=True)
class SameWidth:
    """Vectors are as long as the current version's, and meant to be compared alike: readers built on that."""

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Compare dimensions and metric."""
        if current is None:
            return _first(self)
        (dim, metric), before = [(one.dim, one.metric) for one in (candidate, current)]
        why = f"{before[0]} dimensions by {before[1]} became {dim} by {metric}"
        return GateResult(name=str(self), passed=(dim, metric) == before, why=why, numbers={"dim": dim})


@dataclass(frozen=True)
class Finite:
    """No vector holds NaN or infinity, and not all of them are zero."""

    def check(self, candidate: Version, current: Version | None) -> GateResult:
        """Read every vector once, a block at a time."""
        vectors = candidate.numpy()
        bad, zero = 0, 0
        for start in range(0, len(vectors), _ROW_BLOCK):
            block = vectors[start : start + _ROW_BLOCK]
            bad += int((~np.isfinite(block).all(axis=1)).sum())
            zero += int((~block.any(axis=1)).sum())
        why = f"{bad} of {len(vectors):,} vectors are not finite, {zero} are zero"
        passed = bad == 0 and zero < len(vectors)
        return GateResult(name=str(self), passed=passed, why=why, numbers={"not_finite": bad, "zero": zero})


_KINDS = {
    "no-regression": NoRegression,
    "min-score": MinScore,
    "min-coverage": MinCoverage,
    "max-shrink": MaxShrink,
    "nothing-fell": NothingFell,
    "not-older": NotOlder,
    "same-width": SameWidth,
    "finite": Finite,
}


def _settings(name: str) -> list[dataclasses.Field]:
    """The settings of a gate that can be written as text, in their order."""
    return [setting for setting in dataclasses.fields(_KINDS[name]) if not setting.kw_only]


def _written(name: str) -> str:
    return name + "".join(
        f":{setting.name.upper()}" if setting.default is dataclasses.MISSING else f"[:{setting.name.upper()}]"
        for setting in _settings(name)
    )


#: How each gate is written as text, such as `no-regression:TASK[:BOUND][:METRIC]`.
GATES = tuple(map(_written, _KINDS))


def parse_gate(text: str) -> Check:
    """A gate from text: its name and its settings in their order, by colons; later ones may be left out.

    >>> parse_gate("no-regression:user_topic:0.005")
    NoRegression(task='user_topic', bound=0.005, metric=None)

    Raises:
        InvalidPromotion: there is no such gate, or a setting is missing, extra or no number.
    """
    name, *values = text.split(":")
    try:
        if name not in _KINDS:
            raise ValueError(f"there is no gate {name!r:.80}")
        kind: Callable[..., Check] = _KINDS[name]
        numbers = [setting.type is float for setting in _settings(name)] + [False] * len(values)
        return kind(*(float(value) if number else value for value, number in zip(values, numbers, strict=False)))
    except (TypeError, ValueError) as error:
        raise InvalidPromotion(f"{text!r:.80} is no gate: {error}; write {', '.join(GATES)}") from error


def _ask(gate: Gate, candidate: Version, current: Version | None) -> GateResult:
    said = gate.check(candidate, current) if isinstance(gate, Check) else gate(candidate, current)
    if isinstance(said, bool | np.bool_):
        name = getattr(gate, "__name__", type(gate).__name__)
        said = GateResult(name=name, passed=bool(said), why="it holds" if said else "it does not hold")
    if not isinstance(said, GateResult):
        raise InvalidPromotion(f"gate {gate!r:.80} returned {said!r:.80}; return a bool or a GateResult")
    try:
        dump(said)
    except (TypeError, ValueError) as error:
        raise InvalidPromotion(f"what gate {said.name!r:.80} says cannot be recorded as JSON: {error}") from error
    return said


def _scores(version: Version, task: str, metric: str | None) -> dict[str, Score]:
    scores = [score for score in version.scores() if is_task(score, task) and metric in (None, score.metric)]
    return {_label(score): score for score in scores}


def _label(score: Score) -> str:
    return f"{score.task} {score.metric}"


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _of(metric: str | None) -> str:
    return f", metric {metric}" if metric else ""


def _first(gate: Check) -> GateResult:
    return GateResult(name=str(gate), passed=True, why="nothing to compare with: the alias is not set yet")


def _check_share(gate: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{gate}.share must be in [0, 1], got {share}")
