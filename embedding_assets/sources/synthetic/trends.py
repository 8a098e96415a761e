"""What drifts from week to week: how popular each topic is, and which hashtags live."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from embedding_assets.sources.synthetic.draws import ALWAYS, generator
from embedding_assets.sources.synthetic.lexicon import lexicon

#: A trending hashtag lives at most this many weeks.
LONGEST_TREND = 6
_MEMORY, _STEP = 0.97, 0.1


class Hashtag(NamedTuple):
    """A hashtag without its `#`; `born` and `died` are week indices, None for evergreen ones."""

    text: str
    topic: int
    language: int | None
    born: int | None
    died: int | None


def topic_popularity(seed: int, week_index: int) -> np.ndarray:
    """(T,) float64 positive factors: a random walk of the logarithm, gently pulled back to 0."""
    steps = generator(seed, ALWAYS, "popularity").standard_normal((week_index + 1, len(lexicon().topics)))
    level = np.zeros(len(lexicon().topics))
    for step in steps:
        level = _MEMORY * level + _STEP * step
    return np.exp(level)


def evergreen_hashtags() -> Iterator[Hashtag]:
    """Hashtags that every week has: a few English ones a topic, two words in other languages."""
    lex = lexicon()
    for topic, row in enumerate(lex.topics):
        for language, name in enumerate(language.name for language in lex.languages):
            texts = row.hashtags if name == "en" else row.words[name][:2]
            for text in texts:
                yield Hashtag(text, topic, language, None, None)


def hashtags_born_in(seed: int, week_index: int) -> Iterator[Hashtag]:
    """Trending hashtags of all languages that appear in this week: about one for two topics."""
    lex = lexicon()
    rng = generator(seed, week_index, "hashtags")
    for topic, row in enumerate(lex.topics):
        is_born = rng.random() < 0.5 or week_index == 0
        life = min(int(rng.geometric(0.35)), LONGEST_TREND)
        first, second = rng.choice(len(row.words["en"]), size=2, replace=False)
        if is_born:
            # The week's number makes the name one of its kind for ever.
            text = f"{row.words['en'][first]}{row.words['en'][second]}{week_index}"
            yield Hashtag(text, topic, None, week_index, week_index + life)


def hashtags_known_in(seed: int, week_index: int) -> list[Hashtag]:
    """Evergreen hashtags and all trending ones born up to this week, the dead included."""
    born = (tag for week in range(week_index + 1) for tag in hashtags_born_in(seed, week))
    return [*evergreen_hashtags(), *born]


def hashtags_alive_in(seed: int, week_index: int) -> list[Hashtag]:
    """Trending hashtags that are in use in this week."""
    weeks = range(max(0, week_index - LONGEST_TREND + 1), week_index + 1)
    tags = (tag for week in weeks for tag in hashtags_born_in(seed, week))
    return [tag for tag in tags if tag.died is not None and tag.died > week_index]
