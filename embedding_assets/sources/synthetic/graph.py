"""Who follows whom: the world goes in, directed edges come out, without repeats and self-loops."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from embedding_assets.sources.synthetic.draws import Pools, distinct, generator
from embedding_assets.sources.synthetic.lexicon import lexicon
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.world import World, build_world

_FROM_COMMUNITY, _FROM_TOPIC = 0.55, 0.35  # the rest follows anyone popular
#: Candidates drawn for each edge wanted, because popular targets repeat.
_SPARE = 1.8


class Followers(NamedTuple):
    """Followers of user i of the first week: `users[starts[i]:starts[i + 1]]`."""

    starts: np.ndarray
    users: np.ndarray


@lru_cache(maxsize=4)
def follow_edges(settings: Settings, week_index: int) -> np.ndarray:
    """(E, 2) int64 pairs (source, destination), sorted, that appear in this week.

    No pair of a later week is among those of the first; two later weeks may both hold a pair, as
    when someone unfollows and comes back.
    """
    world = build_world(settings)
    rng = generator(settings.seed, week_index, "follows")
    per_user = settings.follows_per_user if week_index == 0 else settings.new_follows_per_user
    wanted = round(per_user * settings.users)
    sources = _sources(world, wanted, rng)
    targets = _targets_of(world, sources, rng)
    keep = (targets >= 0) & (targets != sources)
    codes = distinct(sources[keep] * settings.users + targets[keep])
    if week_index > 0:
        old = follow_edges(settings, 0)
        codes = np.setdiff1d(codes, old[:, 0] * settings.users + old[:, 1], assume_unique=True)
    chosen = np.sort(rng.permutation(codes)[:wanted])
    return np.stack(np.divmod(chosen, settings.users), axis=1)


@lru_cache(maxsize=2)
def followers(settings: Settings) -> Followers:
    """Followers by user, of the follows of the first week."""
    edges = follow_edges(settings, 0)
    order = np.argsort(edges[:, 1], kind="stable")
    starts = np.searchsorted(edges[order, 1], np.arange(settings.users + 1))
    return Followers(starts, edges[order, 0])


def _sources(world: World, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Who follows: everyone about equally often, with a long tail of eager followers."""
    users = world.settings.users
    eagerness = np.exp(0.7 * rng.standard_normal(users))
    pool = Pools(np.zeros(users, dtype=np.int64), np.arange(users), eagerness, 1)
    return pool.draw(np.zeros(round(wanted * _SPARE), dtype=np.int64), rng)


def _targets_of(world: World, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whom they follow; bots have no community and no interests, so they follow anyone."""
    topics = len(lexicon().topics)
    everyone = 3 * topics
    topic = world.interests(np.ones(topics)).draw(sources, rng)
    way = rng.random(len(sources))
    group = np.where(way < _FROM_COMMUNITY, world.community[sources], 2 * topics + topic)
    is_open = (way >= _FROM_COMMUNITY + _FROM_TOPIC) | world.is_bot[sources]
    return world.targets.draw(np.where(is_open, everyone, group), rng)
