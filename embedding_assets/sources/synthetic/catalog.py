"""Web domains, articles and ads: a seed goes in, texts grouped by topic come out.

Group T (after the T topics) holds what anyone may meet: portals, and ads for everything.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from embedding_assets.sources.synthetic.draws import ALWAYS, Choice, Pools, generator, zipf
from embedding_assets.sources.synthetic.lexicon import ENGLISH, invent, lexicon

_DOMAINS, _PORTALS, _ADS, _ARTICLES = 16, 12, 10, 6
_SUFFIXES = ("com", "com", "org", "net", "co.uk", "com.br", "jp", "ru")
#: Numbers of invented names start here, above those of the spam, so that no name is also a word.
_FIRST_NAME = 100_000_000


class Catalog(NamedTuple):
    """Sorted texts of domains and ads, their indices by topic (`*_pools`), and URLs by topic."""

    domains: pa.StringArray
    domain_pools: Pools
    ads: pa.StringArray
    ad_pools: Pools
    articles: Choice


@lru_cache(maxsize=2)
def catalog(seed: int) -> Catalog:
    """The sites and ads of this seed."""
    topics = len(lexicon().topics)
    domains = [(_domain(seed, topic, rank), topic, rank) for topic in range(topics) for rank in range(_DOMAINS)]
    domains += [(_domain(seed, topics, rank), topics, rank) for rank in range(_PORTALS)]
    ads = [
        (f"ad-{row.name}-{rank:02}", topic, rank) for topic, row in enumerate(lexicon().topics) for rank in range(_ADS)
    ]
    ads += [(name, topics, rank) for name, _, rank in ads]
    articles = [(f"https://{name}/{slug}", group) for name, group, _ in domains for slug in _slugs(seed, name)]
    return Catalog(
        *_pools(domains),
        *_pools(ads),
        Choice([url for url, _ in articles], [group for _, group in articles], topics + 1),
    )


def _pools(rows: list[tuple[str, int, int]]) -> tuple[pa.StringArray, Pools]:
    """Sorted distinct names, and their indices by group, weighted by rank."""
    names = sorted({name for name, _, _ in rows})
    index = {name: position for position, name in enumerate(names)}
    groups = np.array([group for _, group, _ in rows])
    weights = zipf(max(_DOMAINS, _PORTALS, _ADS), exponent=0.8, shift=2.0)[[rank for _, _, rank in rows]]
    items = np.array([index[name] for name, _, _ in rows])
    return pa.array(names, pa.string()), Pools(groups, items, weights, int(groups.max()) + 1)


def _domain(seed: int, topic: int, rank: int) -> str:
    """Such as `recipe-dovuka.com`; portals have no topic in their name."""
    lex = lexicon()
    number = _FIRST_NAME + topic * _DOMAINS + rank
    name = invent(number, language=lex.languages[ENGLISH], syllables=4, seed=seed)
    prefix = f"{lex.topics[topic].words['en'][rank]}-" if topic < len(lex.topics) else ""
    return f"{prefix}{name}.{_SUFFIXES[number % len(_SUFFIXES)]}"


def _slugs(seed: int, domain: str) -> list[str]:
    return [f"{number:x}" for number in generator(seed, ALWAYS, domain).integers(2**20, 2**28, _ARTICLES)]
