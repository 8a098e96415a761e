"""Who lives in the synthetic Twitter: settings in, users and their interests out.

Sizes: U users, T topics, L languages, C communities (two a topic: one writes English, one another
language).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from embedding_assets.sources.synthetic.draws import ALWAYS, Pools, generator, zipf
from embedding_assets.sources.synthetic.lexicon import ENGLISH, lexicon
from embedding_assets.sources.synthetic.settings import Settings

#: Part of the users that count as producers: those with the most followers.
PRODUCER_SHARE = 0.05
_MOST_TOPICS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Everything that does not depend on the week.

    Attributes:
        settings: what it was made from.
        user_ids: (U,) string, in order; also their handles.
        community: (U,) int64 in [0, C); C for bots.
        language: (U,) int64, the language they mainly write.
        interest: (U, T) float64, rows sum to 1; zero rows for bots.
        popularity: (U,) float64, Zipf-like; zero for bots.
        activity: (U,) float64, how often they tweet, browse and like; zero for bots.
        is_bot: (U,) bool.
        is_producer: (U,) bool.
        readers: users by topic * L + language, weighted by interest and activity.
        targets: users to follow: by community, then by topic (C + t), then all (C + T).
    """

    settings: Settings
    user_ids: pa.StringArray
    community: np.ndarray
    language: np.ndarray
    interest: np.ndarray
    popularity: np.ndarray
    activity: np.ndarray
    is_bot: np.ndarray
    is_producer: np.ndarray
    readers: Pools
    targets: Pools

    @property
    def bots(self) -> np.ndarray:
        """Indices of the bots."""
        return np.flatnonzero(self.is_bot)

    def interests(self, factors: np.ndarray) -> Pools:
        """Topics by user, interests weighted with (T,) `factors`."""
        user, topic = np.nonzero(self.interest)
        return Pools(user, topic, self.interest[user, topic] * factors[topic], len(self.interest))


def community_names() -> list[str]:
    """Names by community index, such as `cooking-en`; the last one is the bots'."""
    lex = lexicon()
    names = [f"{lex.topics[c // 2].name}-{lex.languages[k].name}" for c, k in enumerate(_community_languages())]
    return [*names, "bots"]


def _community_languages() -> np.ndarray:
    """(C,) int64: English for even communities, the other languages in turn for odd ones."""
    lex = lexicon()
    turn = np.arange(2 * len(lex.topics)) // 2
    others = 1 + turn % (len(lex.languages) - 1)
    return np.where(np.arange(len(turn)) % 2 == 0, ENGLISH, others)


@lru_cache(maxsize=2)
def build_world(settings: Settings) -> World:
    """The world of these settings; the last two are kept."""
    rng = generator(settings.seed, ALWAYS, "world")
    users, topics = settings.users, len(lexicon().topics)
    is_bot = np.zeros(users, dtype=bool)
    is_bot[rng.permutation(users)[: settings.bots]] = True
    community = np.where(is_bot, 2 * topics, _draw_communities(users, rng))
    language = np.where(is_bot, ENGLISH, _draw_languages(community, rng))
    interest = np.where(is_bot[:, None], 0.0, _draw_interests(community // 2 % topics, rng))
    rank = _popularity_rank(is_bot, rng)
    popularity = np.where(is_bot, 0.0, zipf(users, exponent=0.8)[rank])
    is_producer = ~is_bot & (rank < np.ceil(PRODUCER_SHARE * users))
    activity = np.where(is_producer, 3.0, 1.0) * np.exp(0.7 * rng.standard_normal(users)) * ~is_bot
    return World(
        settings=settings,
        user_ids=user_ids(users),
        community=community,
        language=language,
        interest=interest,
        popularity=popularity,
        activity=activity,
        is_bot=is_bot,
        is_producer=is_producer,
        readers=_readers(interest, language, activity),
        targets=_targets(interest, community, popularity),
    )


def user_ids(users: int) -> pa.StringArray:
    """(U,) string `u0000000`, `u0000001`, ...: their order as text is their order as numbers."""
    return pa.array([f"u{number:07}" for number in range(users)], pa.string())


def _draw_communities(users: int, rng: np.random.Generator) -> np.ndarray:
    topics = len(lexicon().topics)
    weights = np.exp(0.3 * rng.standard_normal(topics))
    # Both communities of a topic are equally large, which keeps English at about half.
    edges = np.cumsum(np.repeat(weights, 2))
    return np.minimum(np.searchsorted(edges, rng.random(users) * edges[-1]), 2 * topics - 1)


def _draw_languages(community: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    main = np.append(_community_languages(), ENGLISH)[community]
    other = rng.integers(1, len(lexicon().languages), len(community))
    is_guest = rng.random(len(community)) < 0.12
    return np.where(is_guest, np.where(main == ENGLISH, other, ENGLISH), main)


def _draw_interests(main: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(U, T): the main topic and up to three more, drawn by how well topics go together."""
    users, topics = len(main), len(lexicon().topics)
    taste = rng.standard_normal((topics, topics))
    affinity = np.exp(0.7 * (taste + taste.T))
    # Efraimidis and Spirakis 2006: the largest log(u) / w are a sample without replacement.
    keys = np.log1p(-rng.random((users, topics))) / affinity[main]
    keys[np.arange(users), main] = 0.0
    chosen = np.argsort(-keys, axis=1)[:, :_MOST_TOPICS]
    extra = np.searchsorted([0.25, 0.60, 0.88], rng.random(users), side="right")
    weights = np.where(np.arange(_MOST_TOPICS) <= extra[:, None], 0.2 + 0.5 * rng.random((users, 4)), 0.0)
    weights[:, 0] = 1.0
    interest = np.zeros((users, topics))
    np.put_along_axis(interest, chosen, weights / weights.sum(axis=1, keepdims=True), axis=1)
    return interest


def _popularity_rank(is_bot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(U,) int64: a random order of popularity with all bots at its end."""
    rank = np.empty(len(is_bot), dtype=np.int64)
    rank[np.lexsort((rng.permutation(len(is_bot)), is_bot))] = np.arange(len(is_bot))
    return rank


def _readers(interest: np.ndarray, language: np.ndarray, activity: np.ndarray) -> Pools:
    languages = len(lexicon().languages)
    user, topic = np.nonzero(interest)
    weights = interest[user, topic] * activity[user]
    return Pools(topic * languages + language[user], user, weights, interest.shape[1] * languages)


def _targets(interest: np.ndarray, community: np.ndarray, popularity: np.ndarray) -> Pools:
    topics = interest.shape[1]
    communities = 2 * topics
    user, topic = np.nonzero(interest)
    everyone = np.flatnonzero(popularity)
    groups = [
        community[everyone],
        communities + topic,
        np.full(len(everyone), communities + topics),
    ]
    items = [everyone, user, everyone]
    weights = [popularity[everyone], interest[user, topic] * popularity[user], popularity[everyone]]
    return Pools(*map(np.concatenate, (groups, items, weights)), size=communities + topics + 1)
