"""The synthetic Twitter as a source: a table's name and a week go in, a batch of rows comes out."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from embedding_assets.records import Week
from embedding_assets.sources.schema import QUARANTINE, TABLES, Batch, shift_week, week_bounds
from embedding_assets.sources.synthetic import events, profiles, truth
from embedding_assets.sources.synthetic.clock import timestamps
from embedding_assets.sources.synthetic.draws import generator
from embedding_assets.sources.synthetic.lexicon import lexicon
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.text import write_texts
from embedding_assets.sources.synthetic.tweets import week_tweets
from embedding_assets.sources.synthetic.world import build_world

_LANGUAGE_UNKNOWN = 0.03


def tweets(settings: Settings, week_index: int) -> pa.Table:
    """All tweets of one week, in order of time, which is the order of their ids."""
    world, week = build_world(settings), week_tweets(settings, week_index)
    rng = generator(settings.seed, week_index, "texts")
    texts = write_texts(world, week, week_index, rng)
    ids = pa.array(week.tweet_ids).cast(pa.string())
    languages = pa.array([row.name for row in lexicon().languages])
    is_unknown = rng.random(len(week)) < _LANGUAGE_UNKNOWN
    columns = {
        "tweet_id": ids,
        "user_id": world.user_ids.take(pa.array(week.author)),
        "created_at": timestamps(week.moment, shift_week(settings.first_week, week_index)),
        "text": texts,
        "lang": languages.take(pa.array(week.language, mask=is_unknown)),
        "conversation_id": ids.take(pa.array(week.root, mask=~week.has_conversation)),
        "in_reply_to": ids.take(pa.array(week.parent, mask=week.parent < 0)),
    }
    return pa.table(columns, TABLES["tweets"])


_READERS: dict[str, Callable[[Settings, int], pa.Table]] = {
    "tweets": tweets,
    "engagements": events.engagements,
    "follows": events.follows,
    "ad_clicks": events.ad_clicks,
    "site_visits": events.site_visits,
    "user_topics": profiles.user_topics,
    "user_metadata": profiles.user_metadata,
    "truth_words": truth.truth_words,
    "truth_moved_words": truth.truth_moved_words,
    "truth_phrases": truth.truth_phrases,
    "truth_hashtags": truth.truth_hashtags,
    "truth_users": profiles.truth_users,
}


@dataclass(frozen=True, kw_only=True)
class SyntheticTwitter(Settings):
    """A Twitter made from a seed, in which the answer to every later task is known.

    Users belong to communities and care for one to four topics, which decide what they tweet, like,
    follow, visit and click. Every week from `first_week` on exists, whichever were read before.

    Example:
        >>> source = SyntheticTwitter(users=200, tweets_per_week=500)
        >>> source.read("tweets", source.first_week).rows.num_rows
        500
    """

    @property
    def fingerprint(self) -> str:
        """All settings: any of them makes another world."""
        return repr(self)

    @property
    def name(self) -> str:
        """`synthetic`."""
        return "synthetic"

    @property
    def tables(self) -> frozenset[str]:
        """All event tables and all truth tables."""
        return frozenset(_READERS)

    @property
    def last_week(self) -> Week | None:
        """None: the calendar goes on for ever."""
        return None

    def read(self, table: str, week: Week) -> Batch:
        """All rows of `table` in `week`; nothing is ever quarantined.

        Raises:
            ValueError: no such table, or `week` is not a Monday or is before `first_week`.
        """
        if table not in _READERS:
            raise ValueError(f"the synthetic source has no table {table!r}; it has {', '.join(sorted(_READERS))}")
        weeks = (week_bounds(week)[0] - week_bounds(self.first_week)[0]).days // 7
        if weeks < 0:
            raise ValueError(f"week {week} is before the first week {self.first_week} of the synthetic source")
        rows = _READERS[table](self, weeks)
        return Batch(rows=rows, quarantined=QUARANTINE.empty_table(), rows_in=rows.num_rows, deduplicated=0)
