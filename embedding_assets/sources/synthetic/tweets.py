"""Who tweets about what, when, and in reply to what: a week in, its tweets without texts out.

N tweets; spam comes after the conversations until all are put in order of time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from embedding_assets.sources.schema import shift_week
from embedding_assets.sources.synthetic.clock import HOUR, WEEK, daily_rhythm, epoch_micros
from embedding_assets.sources.synthetic.draws import Pools, generator
from embedding_assets.sources.synthetic.lexicon import ENGLISH, lexicon
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.trends import topic_popularity
from embedding_assets.sources.synthetic.world import World, build_world

#: How many times as much as others a bot tweets.
BOT_TWEETS = 5
_SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
_LONGEST_THREAD = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class WeekTweets:
    """The tweets of one week, (N,) each, in order of time.

    Attributes:
        tweet_ids: int64, Snowflake-like: milliseconds, then the rank within the millisecond.
        author: int64, index of the user.
        topic: int64, what it is about; -1 for spam.
        language: int64, index of the language it is written in.
        parent: int64, position of the tweet it replies to; -1 if none.
        root: int64, position of the first tweet of its conversation; its own where it is alone.
        has_conversation: bool, whether the conversation is recorded; else the reply chain tells.
        moment: int64, microseconds since the week's start.
    """

    tweet_ids: np.ndarray
    author: np.ndarray
    topic: np.ndarray
    language: np.ndarray
    parent: np.ndarray
    root: np.ndarray
    has_conversation: np.ndarray
    moment: np.ndarray

    def __len__(self) -> int:
        return len(self.tweet_ids)


@lru_cache(maxsize=2)
def week_tweets(settings: Settings, week_index: int) -> WeekTweets:
    """All tweets of one week; the last two are kept, because engagements need them too."""
    world = build_world(settings)
    rng = generator(settings.seed, week_index, "tweets")
    share = min(0.5, settings.bots / settings.users * BOT_TWEETS)
    spam = round(settings.tweets_per_week * share)
    columns = _conversations(world, week_index, settings.tweets_per_week - spam, rng)
    for name, values in _spam(world, spam, settings.tweets_per_week - spam, rng).items():
        columns[name] = np.concatenate([columns[name], values])
    return _in_order(columns, epoch_micros(shift_week(settings.first_week, week_index)))


def _conversations(world: World, week_index: int, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    thread, start = _threads(count, rng)
    root = start[thread]
    columns = _people(world, week_index, root, rng)
    position = np.arange(count) - root
    parent = np.where(rng.random(count) < 0.7, np.arange(count) - 1, root)
    recorded = rng.random(len(start)) < 0.9
    return columns | {
        "parent": np.where(position > 0, parent, -1),
        "root": root,
        "has_conversation": recorded[thread] & ((position == 0) | (rng.random(count) < 0.95)),
        "moment": _moments(columns["language"], thread, start, rng),
    }


def _threads(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(count,) thread of each tweet, (threads,) position of each thread's first; most have one."""
    replies = np.minimum(rng.geometric(0.3, count), _LONGEST_THREAD - 1)
    sizes = 1 + np.where(rng.random(count) < 0.4, replies, 0)
    start = np.cumsum(sizes) - sizes
    start = start[start < count]
    return np.repeat(np.arange(len(start)), np.diff(np.append(start, count))), start


def _people(world: World, week_index: int, root: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Authors, topics, languages: replies come from people who care for the root's topic."""
    languages = len(lexicon().languages)
    count, users = len(root), world.settings.users
    authors = Pools(np.zeros(users, dtype=np.int64), np.arange(users), world.activity, 1)
    interests = world.interests(topic_popularity(world.settings.seed, week_index))
    starter = authors.draw(np.zeros(count, dtype=np.int64), rng)
    starter_topic = interests.draw(starter, rng)
    is_english = rng.random(count) < 0.04
    language = np.where(is_english, ENGLISH, world.language[starter])[root]
    replier = world.readers.draw(starter_topic[root] * languages + language, rng)
    # The author of the first tweet answers now and then, and where nobody else reads that language.
    is_starter = (
        (np.arange(count) == root) | (replier < 0) | ((np.arange(count) > root + 1) & (rng.random(count) < 0.3))
    )
    author = np.where(is_starter, starter[root], replier)
    strays = (np.arange(count) != root) & (rng.random(count) < 0.08)
    topic = np.where(strays, interests.draw(author, rng), starter_topic[root])
    return {"author": author, "topic": topic, "language": language}


def _moments(language: np.ndarray, thread: np.ndarray, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replies come 40 minutes apart on average; late threads are squeezed into the week."""
    offsets = np.array([row.utc_offset_hours for row in lexicon().languages])[language[start]]
    begin = daily_rhythm(len(start), offsets, rng)
    gaps = rng.standard_exponential(len(thread)) * (2 / 3 * HOUR)
    gaps[start] = 0.0
    running = np.cumsum(gaps)
    since = running - running[start][thread]
    longest = since[np.append(start[1:], len(thread)) - 1] if len(start) else since
    squeeze = np.minimum(1.0, 0.999 * (WEEK - begin) / np.maximum(longest, 1.0))
    return begin[thread] + (since * squeeze[thread]).astype(np.int64)


def _spam(world: World, count: int, first: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Single tweets of random bots, round the clock."""
    return {
        "author": world.bots[rng.integers(0, max(len(world.bots), 1), count)],
        "topic": np.full(count, -1),
        "language": np.full(count, ENGLISH),
        "parent": np.full(count, -1),
        "root": first + np.arange(count),
        "has_conversation": np.full(count, fill_value=True),
        "moment": rng.integers(0, WEEK, count),
    }


def _in_order(columns: dict[str, np.ndarray], week_start: int) -> WeekTweets:
    """Sorts by time (stable, so a reply stays after its parent) and numbers the tweets."""
    order = np.argsort(columns["moment"], kind="stable")
    place = np.empty(len(order) + 1, dtype=np.int64)
    place[order] = np.arange(len(order))
    place[-1] = -1  # position -1 means none, before and after
    ordered = {name: values[order] for name, values in columns.items()}
    ordered["parent"] = place[ordered["parent"]]
    ordered["root"] = place[ordered["root"]]
    millis = (ordered["moment"] + week_start) // 1000
    first = np.searchsorted(millis, millis, side="left")
    tweet_ids = ((millis - _SNOWFLAKE_EPOCH_MS) << 22) + np.arange(len(order)) - first
    return WeekTweets(tweet_ids=tweet_ids, **ordered)
