"""Snapshots of the users: their topics and their attributes, and the planted truth about them."""

import numpy as np
import pyarrow as pa

from embedding_assets.sources.schema import TABLES, TRUTH_TABLES
from embedding_assets.sources.synthetic.draws import ALWAYS, generator
from embedding_assets.sources.synthetic.lexicon import lexicon
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.world import World, build_world, community_names

_AGES = ("18-24", "25-34", "35-49", "50+")
_DEVICES = ("android", "ios", "web")
#: How far an attribute depends on the community; 0 is not at all.
_AGE_STRENGTH, _DEVICE_STRENGTH = 1.2, 0.5
_KNOWN, _ABROAD = 0.9, 0.15


def user_topics(settings: Settings, week_index: int) -> pa.Table:
    """Every topic that a user cares for; bots have none."""
    world = build_world(settings)
    user, topic = np.nonzero(world.interest)
    names = pa.array([row.name for row in lexicon().topics])
    columns = [world.user_ids.take(pa.array(user)), names.take(pa.array(topic))]
    return pa.table(columns, TABLES["user_topics"])


def user_metadata(settings: Settings, week_index: int) -> pa.Table:
    """Age, country and device, each of nine users in ten; the community decides them in part."""
    world, rng = build_world(settings), generator(settings.seed, ALWAYS, "metadata")
    countries = sorted({country for row in lexicon().languages for country in row.countries})
    values = np.array([*_AGES, *countries, *_DEVICES])
    age = _by_community(world, len(_AGES), _AGE_STRENGTH, rng)
    country = len(_AGES) + _draw_countries(world, countries, rng)
    device = len(_AGES) + len(countries) + _by_community(world, len(_DEVICES), _DEVICE_STRENGTH, rng)
    known = rng.random((settings.users, 3)) < _KNOWN
    user, attribute = np.nonzero(known)
    value = np.stack([age, country, device], axis=1)[known]
    columns = [
        world.user_ids.take(pa.array(user)),
        pa.array(["age_bucket", "country", "device"]).take(pa.array(attribute)),
        pa.array(values).take(pa.array(value)),
    ]
    return pa.table(columns, TABLES["user_metadata"])


def truth_users(settings: Settings, week_index: int) -> pa.Table:
    """Community and role of every user."""
    world = build_world(settings)
    columns = [
        world.user_ids,
        pa.array(community_names()).take(pa.array(world.community)),
        pa.array(world.is_bot),
        pa.array(world.is_producer),
    ]
    return pa.table(columns, TRUTH_TABLES["truth_users"])


def _by_community(world: World, choices: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """(U,) int64 in [0, choices): each community leans to some of them."""
    leaning = strength * rng.standard_normal((len(community_names()), choices))
    noise = -np.log(rng.standard_exponential((len(world.community), choices)))  # Gumbel: a softmax draw
    return np.argmax(leaning[world.community] + noise, axis=1)


def _draw_countries(world: World, countries: list[str], rng: np.random.Generator) -> np.ndarray:
    """(U,) int64: mostly a country where the user's language is spoken, the first most often."""
    rows = [[countries.index(country) for country in row.countries] for row in lexicon().languages]
    sizes = np.array([len(row) for row in rows])[world.language]
    rank = (rng.random(len(sizes)) ** 1.5 * sizes).astype(np.int64)
    table = np.array([row + [0] * (max(map(len, rows)) - len(row)) for row in rows])
    is_abroad = rng.random(len(sizes)) < _ABROAD
    return np.where(is_abroad, rng.integers(0, len(countries), len(sizes)), table[world.language, rank])
