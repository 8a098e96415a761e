"""What people do besides tweeting: likes, retweets, follows, site visits, ad clicks."""

import numpy as np
import pyarrow as pa

from embedding_assets.sources.schema import TABLES, shift_week
from embedding_assets.sources.synthetic.catalog import catalog
from embedding_assets.sources.synthetic.clock import daily_rhythm, later, timestamps
from embedding_assets.sources.synthetic.draws import ALWAYS, Pools, distinct, generator
from embedding_assets.sources.synthetic.graph import follow_edges, followers
from embedding_assets.sources.synthetic.lexicon import lexicon
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.trends import topic_popularity
from embedding_assets.sources.synthetic.tweets import WeekTweets, week_tweets
from embedding_assets.sources.synthetic.world import World, build_world

_KINDS = ("like", "reply", "retweet")
_LIKE, _REPLY, _RETWEET = range(3)
_BOT_LIKES, _FROM_FOLLOWERS, _RETWEETS = 0.12, 0.6, 0.25
_SPARE = 1.3  # candidates drawn for each engagement wanted, because some repeat
_SECOND_BROWSER, _SIGNED_IN, _STRAY_CLICK = 0.35, 0.7, 0.15


def engagements(settings: Settings, week_index: int) -> pa.Table:
    """Likes and retweets of the week's tweets, and every reply that is among the tweets."""
    world, tweets = build_world(settings), week_tweets(settings, week_index)
    rng = generator(settings.seed, week_index, "engagements")
    replies = np.flatnonzero(tweets.parent >= 0)
    wanted = max(round(settings.engagements_per_tweet * len(tweets)) - len(replies), 0)
    user, tweet, kind = _likes(world, tweets, wanted, rng)
    moment = later(tweets.moment[tweet], 4.0, rng)
    user = np.concatenate([user, tweets.author[replies]])
    tweet = np.concatenate([tweet, tweets.parent[replies]])
    kind = np.concatenate([kind, np.full(len(replies), _REPLY)])
    moment = np.concatenate([moment, tweets.moment[replies]])
    producer = tweets.author[tweet]
    order = np.lexsort((moment, kind, tweet, producer, user))
    columns = {
        "user_id": world.user_ids.take(pa.array(user[order])),
        "producer_id": world.user_ids.take(pa.array(producer[order])),
        "tweet_id": pa.array(tweets.tweet_ids[tweet[order]]).cast(pa.string()),
        "kind": pa.array(_KINDS).take(pa.array(kind[order])),
        "weight": pa.array(np.ones(len(order), dtype=np.float32)),
        "created_at": timestamps(moment[order], shift_week(settings.first_week, week_index)),
    }
    return pa.table(columns, TABLES["engagements"])


def _likes(
    world: World, tweets: WeekTweets, wanted: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most `wanted` different (user, tweet, kind), nobody liking their own."""
    count = round(wanted * _SPARE)
    virality = np.exp(0.7 * rng.standard_normal(len(tweets)))
    weights = np.sqrt(world.popularity[tweets.author]) * virality
    pool = Pools(np.zeros(len(tweets), dtype=np.int64), np.arange(len(tweets)), weights, 1)
    tweet = pool.draw(np.zeros(count, dtype=np.int64), rng)
    user = _who_likes(world, tweets, tweet, rng)
    kind = np.where(rng.random(count) < _RETWEETS, _RETWEET, _LIKE)
    valid = (tweet >= 0) & (user >= 0) & (user != tweets.author[tweet]) if count else np.zeros(0, dtype=bool)
    codes = distinct((user * len(tweets) + tweet)[valid] * len(_KINDS) + kind[valid])
    codes = np.sort(rng.permutation(codes)[:wanted])
    pair, kind = np.divmod(codes, len(_KINDS))
    user, tweet = np.divmod(pair, max(len(tweets), 1))
    return user, tweet, kind


def _who_likes(world: World, tweets: WeekTweets, tweet: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The more interested of two followers, else someone who reads the topic, sometimes a bot."""
    author, topic = tweets.author[tweet], tweets.topic[tweet]
    first, second = _follower(world, author, rng), _follower(world, author, rng)
    follower = np.where(world.interest[first, topic] >= world.interest[second, topic], first, second)
    reader = world.readers.draw(np.where(topic < 0, -1, topic * len(lexicon().languages) + tweets.language[tweet]), rng)
    is_follower = (first >= 0) & ((rng.random(len(tweet)) < _FROM_FOLLOWERS) | (reader < 0))
    user = np.where(is_follower, follower, reader)
    if not len(world.bots):
        return user
    bot = world.bots[rng.integers(0, len(world.bots), len(tweet))]
    return np.where(rng.random(len(tweet)) < _BOT_LIKES, bot, user)


def _follower(world: World, author: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random follower of each author, -1 for authors without any."""
    starts, users = followers(world.settings)
    count = starts[author + 1] - starts[author]
    position = starts[author] + (rng.random(len(author)) * count).astype(np.int64)
    return np.where(count > 0, np.append(users, -1)[position], -1)


def follows(settings: Settings, week_index: int) -> pa.Table:
    """New follows of the week; the first week holds the bulk."""
    edges = follow_edges(settings, week_index)
    world = build_world(settings)
    rng = generator(settings.seed, week_index, "follow times")
    moment = daily_rhythm(len(edges), 0, rng)
    columns = {
        "src": world.user_ids.take(pa.array(edges[:, 0])),
        "dst": world.user_ids.take(pa.array(edges[:, 1])),
        "created_at": timestamps(moment, shift_week(settings.first_week, week_index)),
    }
    return pa.table(columns, TABLES["follows"])


def site_visits(settings: Settings, week_index: int) -> pa.Table:
    """Visits by the users' browsers; three browsers in ten never sign in: their user is unknown."""
    world, rng = build_world(settings), generator(settings.seed, week_index, "site visits")
    owner, signed_in = _browsers(world)
    pool = Pools(np.zeros(len(owner), dtype=np.int64), np.arange(len(owner)), world.activity[owner], 1)
    count = round(settings.visits_per_user * settings.users)
    browser = pool.draw(np.zeros(count, dtype=np.int64), rng)
    topic = _topics(world, owner[browser], week_index, rng)
    domain = catalog(settings.seed).domain_pools.draw(_mixed(topic, settings.portal_share, rng), rng)
    moment = daily_rhythm(count, _offsets(world, owner[browser]), rng)
    order = np.lexsort((moment, domain, browser))
    browser = browser[order]
    columns = {
        "browser_id": pa.array([f"b{number:07}" for number in range(len(owner))]).take(pa.array(browser)),
        "domain": catalog(settings.seed).domains.take(pa.array(domain[order])),
        "created_at": timestamps(moment[order], shift_week(settings.first_week, week_index)),
        "user_id": world.user_ids.take(pa.array(owner[browser], mask=~signed_in[browser])),
    }
    return pa.table(columns, TABLES["site_visits"])


def ad_clicks(settings: Settings, week_index: int) -> pa.Table:
    """Clicks on ads of topics that the user cares for, and some stray ones."""
    world, rng = build_world(settings), generator(settings.seed, week_index, "ad clicks")
    pool = Pools(np.zeros(settings.users, dtype=np.int64), np.arange(settings.users), world.activity, 1)
    count = round(settings.clicks_per_user * settings.users)
    user = pool.draw(np.zeros(count, dtype=np.int64), rng)
    topic = _topics(world, user, week_index, rng)
    ad = catalog(settings.seed).ad_pools.draw(_mixed(topic, _STRAY_CLICK, rng), rng)
    moment = daily_rhythm(count, _offsets(world, user), rng)
    order = np.lexsort((moment, ad, user))
    columns = {
        "user_id": world.user_ids.take(pa.array(user[order])),
        "ad_id": catalog(settings.seed).ads.take(pa.array(ad[order])),
        "created_at": timestamps(moment[order], shift_week(settings.first_week, week_index)),
    }
    return pa.table(columns, TABLES["ad_clicks"])


def _browsers(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Owner of each browser (one or two a person, none for bots) and whether it is signed in."""
    rng = generator(world.settings.seed, ALWAYS, "browsers")
    people = np.flatnonzero(~world.is_bot)
    owner = np.repeat(people, 1 + (rng.random(len(people)) < _SECOND_BROWSER))
    return owner, rng.random(len(owner)) < _SIGNED_IN


def _topics(world: World, user: np.ndarray, week_index: int, rng: np.random.Generator) -> np.ndarray:
    return world.interests(topic_popularity(world.settings.seed, week_index)).draw(user, rng)


def _mixed(topic: np.ndarray, chance: float, rng: np.random.Generator) -> np.ndarray:
    """The topic, or with `chance` the group of what anyone may meet."""
    return np.where(rng.random(len(topic)) < chance, len(lexicon().topics), topic)


def _offsets(world: World, user: np.ndarray) -> np.ndarray:
    return np.array([row.utc_offset_hours for row in lexicon().languages])[world.language[user]]
