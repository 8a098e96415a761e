"""How large the synthetic Twitter is and what is planted in it."""

import math
from dataclasses import dataclass, fields
from typing import Any

from embedding_assets.records import Week
from embedding_assets.sources.schema import week_bounds

_EARLIEST: Week = "2010-11-08"
#: Lowest and highest allowed value of every numeric setting.
_LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "users": (100, 9_999_999),  # ids have seven digits
    "tweets_per_week": (0, 50_000_000),
    "move_week_index": (0, 1_000_000),
    "bot_share": (0, 0.5),
    "follows_per_user": (1, 1_000),
    "new_follows_per_user": (0, 1_000),
    "engagements_per_tweet": (0, 100),
    "visits_per_user": (0, 1_000),
    "portal_share": (0, 1),
    "clicks_per_user": (0, 1_000),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the synthetic Twitter depends on: equal settings give equal bytes.

    Attributes:
        seed: of every random draw.
        users: how many users, bots included.
        tweets_per_week: exact number of tweets in each week, spam included; 0 makes weeks empty.
        first_week: Monday of the first week that can be read.
        move_week_index: weeks after `first_week` at which the moved words change their topic.
        bot_share: part of the users that are bots, in [0, 0.5]; each tweets like five others.
        follows_per_user: mean number of follows per user in the first week.
        new_follows_per_user: mean number of follows added per user in each later week.
        engagements_per_tweet: likes, retweets and replies per tweet of the week.
        visits_per_user: site visits per user and week.
        portal_share: part of the visits, in [0, 1], that go to sites which everybody visits and which say nothing
            about who does; the others go to sites of a topic that the user cares for.
        clicks_per_user: ad clicks per user and week.
    """

    seed: int = 0
    users: int = 2_000
    tweets_per_week: int = 6_000
    first_week: Week = "2026-01-05"
    move_week_index: int = 4
    bot_share: float = 0.01
    follows_per_user: float = 20.0
    new_follows_per_user: float = 0.5
    engagements_per_tweet: float = 3.0
    visits_per_user: float = 5.0
    portal_share: float = 0.8
    clicks_per_user: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _LIMITS:
                _check_number(field.name, getattr(self, field.name), whole=field.type is int)
        try:
            week_bounds(self.first_week)
        except (TypeError, ValueError) as error:
            message = f"SyntheticTwitter.first_week {self.first_week!r} is no week: {error}"
            raise ValueError(message) from error
        if self.first_week < _EARLIEST:
            raise ValueError(
                f"SyntheticTwitter.first_week must be {_EARLIEST} or later, when tweet ids began to"
                f" hold their time, got {self.first_week!r}"
            )

    @property
    def bots(self) -> int:
        """Number of bots among the users."""
        return round(self.users * self.bot_share)


def _check_number(name: str, value: Any, *, whole: bool) -> None:
    """Refuses a setting of the wrong type or out of `_LIMITS`."""
    low, high = _LIMITS[name]
    wanted = "a whole number" if whole else "a number"
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"SyntheticTwitter.{name} must be {wanted} between {low} and {high}, got {value!r}")
