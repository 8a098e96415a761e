"""What may be tried for an embedding's settings: ranges and choices by the setting's name.

A setting is a field of the trainer (`learning_rate`) or of the window's `Prune` (`prune.min_count`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: What a setting may hold; all of it has a form in JSON.
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both ends are `int`.

    Attributes:
        low: the least.
        high: the most.
        log: whether what matters is the ratio of two numbers, not their difference; `low` is then above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            end = getattr(self, name)
            if type(end) not in (int, float) or not math.isfinite(end):
                raise ValueError(f"Range.{name} must be a finite number, got {end!r}")
        if not self.low < self.high:
            raise ValueError(f"Range.low must lie below Range.high, got {self.low!r} and {self.high!r}")
        if self.log and self.low <= 0:
            raise ValueError(f"Range.low must be above 0 where log is set, got {self.low!r}")

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return type(self.low) is int and type(self.high) is int

    def __contains__(self, value: object) -> bool:
        kinds = (int,) if self.is_whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(set(map(repr, self.values))) < max(2, len(self.values)):
            raise ValueError(f"Choice.values must be a tuple of two or more different values, got {self.values!r}")

    def __contains__(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)


Dimension = Range | Choice
#: Setting -> what may be tried for it.
Space = Mapping[str, Dimension]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How an embedding's settings are searched.

    Attributes:
        metric: what a trial is judged by, such as `topic_purity.v1/same_topic`; None takes the first metric of the
            first task that has all that it needs.
        space: instead of the trainer's usual one.
    """

    metric: str | None = None
    space: Space | None = None

    def __post_init__(self) -> None:
        if self.metric is not None and self.metric.count("/") != 1:
            raise ValueError(f"Tuning.metric must look like `task/metric`, got {self.metric!r}")
        if self.space is not None and not self.space:
            raise ValueError("Tuning.space is empty; name a setting, or leave the space out to take the usual one")


def parse_dimension(text: str) -> tuple[str, Dimension]:
    """A setting's name and what may be tried, as the command line gives them.

    >>> parse_dimension("epochs=1:8")
    ('epochs', Range(low=1, high=8, log=False))
    >>> parse_dimension("learning_rate=0.01:1:log")
    ('learning_rate', Range(low=0.01, high=1.0, log=True))
    >>> parse_dimension("dim=32,64")
    ('dim', Choice(values=(32, 64)))

    Raises:
        ValueError: the text has another form, or an end of a range is no number.
    """
    name, equals, written = text.partition("=")
    if not (name and equals and written):
        raise ValueError(f"{text!r} must look like name=low:high, name=low:high:log or name=one,another")
    if ":" not in written:
        return name, Choice(tuple(_value(part) for part in written.split(",")))
    low, high, *log = written.split(":")
    ends = (_value(low), _value(high))
    if log not in ([], ["log"]) or not all(isinstance(end, int | float) for end in ends):
        raise ValueError(f"{text!r} must look like name=low:high or name=low:high:log, with numbers for the ends")
    if all(isinstance(end, int) for end in ends):
        return name, Range(int(low), int(high), log=bool(log))
    return name, Range(float(low), float(high), log=bool(log))


def _value(text: str) -> Value:
    """A whole number, a number, `none`, or the text itself."""
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
