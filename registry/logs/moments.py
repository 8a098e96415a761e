"""What was the newest one at a given moment? Point-in-time questions are answered by publish time.

The week of the data will not do: what a week's table says is known only once it is published, often days later
(joined by week, 5.3% of the rows of a test saw a value before it existed).
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from registry.errors import InvalidQuery


class Published(Protocol):
    """A version, or a publication of a feature set."""

    @property
    def number(self) -> int:
        """1, 2, 3, ... in the order of publishing."""
        ...

    @property
    def replaces(self) -> int | None:
        """Number of the one that it stands in for, without some keys."""
        ...

    @property
    def week(self) -> str | None:
        """Monday of its newest data week."""
        ...

    @property
    def published_at(self) -> str:
        """UTC, ISO 8601."""
        ...


Item = TypeVar("Item")
OfWeek = TypeVar("OfWeek", bound=Published)


def recency(one: Published) -> tuple[str, int, int]:
    """By what `@latest` is the largest: the week, then the number; a replacement is as new as what it replaces."""
    return one.week or "", one.replaces or one.number, one.number


@dataclass(frozen=True)
class Timeline(Generic[Item]):
    """What counted from when on.

    Attributes:
        since: (M,) int64 microseconds since 1970, UTC, rising.
        items: what counted from then until the next one did.
    """

    since: np.ndarray
    items: tuple[Item, ...]

    @classmethod
    def of(cls, dated: Iterable[tuple[str, Item]]) -> "Timeline[Item]":
        """From pairs of an ISO moment and what counted from then on, in the order of time."""
        pairs = list(dated)
        return cls(np.asarray([micros(at) for at, _ in pairs], np.int64), tuple(item for _, item in pairs))

    def at(self, moments: np.ndarray) -> np.ndarray:
        """(Q,) index of the item that counted at each (Q,) int64 moment; -1 before the first."""
        return np.searchsorted(self.since, moments, side="right") - 1


def newest_over_time(published: Iterable[OfWeek]) -> Timeline[OfWeek]:
    """What `@latest` gave, and when: neither a backfill of an older week nor an erasure from an older version counted.

    Args:
        published: in the order of their numbers.
    """
    counted: list[tuple[str, OfWeek]] = []
    for one in published:
        if not counted or recency(one) > recency(counted[-1][1]):
            counted.append((one.published_at, one))
    return Timeline.of(counted)


def micros(moment: str | dt.datetime) -> int:
    """Microseconds since 1970 of an ISO moment or a datetime; without an offset it is taken as UTC.

    >>> micros("1970-01-01T00:00:01Z")
    1000000

    Raises:
        InvalidQuery: it is no moment.
    """
    try:
        when = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if not isinstance(when, dt.datetime):
            raise ValueError(f"it is {type(moment).__name__}")
    except ValueError as error:
        raise InvalidQuery(f"{moment!r:.80} is no moment; write it as 2026-01-05T06:00:00Z") from error
    when = when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when
    return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
