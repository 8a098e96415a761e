"""What tweets say: tweets without texts and the week's vocabulary go in, texts come out.

A text is: mention, words with a sentence ending, hashtags, cashtag, emoji, link; any but the words
may be absent. Languages written without spaces have them only between these parts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedding_assets.sources.synthetic.catalog import catalog
from embedding_assets.sources.synthetic.draws import Choice
from embedding_assets.sources.synthetic.lexicon import WeekWords, campaigns, lexicon, week_words
from embedding_assets.sources.synthetic.trends import Hashtag, evergreen_hashtags, hashtags_alive_in
from embedding_assets.sources.synthetic.tweets import WeekTweets
from embedding_assets.sources.synthetic.world import World

#: Tweets written at a time; bounds memory, and is part of what a seed means.
_BLOCK = 131_072
_MEAN_WORDS, _WORDS_SPREAD, _FEWEST, _MOST = 11, 4, 3, 24
#: Chance that a content word comes from a topic that the tweet is not about.
_NOISE = 0.06


class Margins(NamedTuple):
    """Around the words, by topic; hashtags by topic * L + language, endings by language."""

    hashtags: Choice
    trending: Choice
    cashtags: Choice
    emoji: Choice
    links: Choice
    endings: Choice


def write_texts(world: World, tweets: WeekTweets, week_index: int, rng: np.random.Generator) -> pa.ChunkedArray:
    """(N,) texts of one week's tweets."""
    words = week_words(world.settings, week_index)
    margins = _margins(world.settings.seed, week_index)
    blocks = [
        _write_block(world, tweets, slice(first, first + _BLOCK), (words, margins), rng)
        for first in range(0, len(tweets), _BLOCK)
    ]
    return pa.chunked_array(blocks, pa.string())


def _margins(seed: int, week_index: int) -> Margins:
    lex = lexicon()
    topics, languages = len(lex.topics), len(lex.languages)
    evergreen = [tag for tag in evergreen_hashtags() if tag.language is not None]
    # A young trend is louder than an old one.
    trending = sorted(hashtags_alive_in(seed, week_index), key=lambda tag: -(tag.born or 0))
    spelled = [(text, tag.topic) for tag in trending for text in _spellings(tag)]
    return Margins(
        hashtags=Choice(
            [f"#{tag.text}" for tag in evergreen],
            [tag.topic * languages + (tag.language or 0) for tag in evergreen],
            topics * languages,
        ),
        trending=Choice([text for text, _ in spelled], [topic for _, topic in spelled], topics),
        cashtags=_by_topic([tuple(f"${symbol}" for symbol in row.cashtags) for row in lex.topics]),
        emoji=_by_topic([row.emoji for row in lex.topics]),
        links=catalog(seed).articles,
        endings=_by_topic([row.endings for row in lex.languages]),
    )


def _by_topic(texts: list[tuple[str, ...]]) -> Choice:
    rows = [(text, group) for group, row in enumerate(texts) for text in row]
    return Choice([text for text, _ in rows], [group for _, group in rows], len(texts))


def _spellings(tag: Hashtag) -> Iterator[str]:
    yield f"#{tag.text}"
    yield f"#{tag.text.capitalize()}"


def _write_block(
    world: World,
    tweets: WeekTweets,
    block: slice,
    with_what: tuple[WeekWords, Margins],
    rng: np.random.Generator,
) -> pa.StringArray:
    words, margins = with_what
    topic, language = tweets.topic[block], tweets.language[block]
    campaign = np.where(topic < 0, np.cumsum(world.is_bot)[tweets.author[block]] - 1, 0)
    campaign = campaign % max(campaigns(world.settings), 1)
    bodies = _bodies(words, (topic, language, campaign), rng)
    endings = margins.endings.column(np.where(topic < 0, -1, language), 0.5, rng)
    bodies = _join([bodies, endings], "")
    capitalized = pc.call_function("utf8_capitalize", [bodies])
    has_capital = pa.array(rng.random(len(topic)) < 0.5)
    both = np.where(topic < 0, -1, topic * len(lexicon().languages) + language)
    # Spam, and every fifth link of others, leads to a portal.
    site = np.where((topic < 0) | (rng.random(len(topic)) < 0.2), len(lexicon().topics), topic)
    columns = [
        _mentions(world, tweets, block, rng),
        pc.call_function("if_else", [has_capital, capitalized, bodies]),
        margins.hashtags.column(both, 0.15, rng),
        margins.trending.column(topic, 0.15, rng),
        margins.cashtags.column(topic, 0.15, rng),
        margins.emoji.column(topic, 0.15, rng),
        margins.links.column(site, np.where(topic < 0, 0.7, 0.12), rng),
    ]
    return _join(columns, " ")


def _join(columns: list[pa.StringArray], separator: str) -> pa.StringArray:
    """(N,) texts of a row put together, nulls left out."""
    options = pc.JoinOptions(null_handling="skip")
    return pc.call_function("binary_join_element_wise", [*columns, separator], options)


def _bodies(
    words: WeekWords, about: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator
) -> pa.StringArray:
    """(N,) words joined as their language does; `about` holds topic, language and spam campaign."""
    topic, language, campaign = about
    spread = _WORDS_SPREAD * rng.standard_normal(len(topic))
    lengths = np.rint(_MEAN_WORDS + spread).astype(np.int64)
    lengths = np.where(topic < 0, 1, np.clip(lengths, _FEWEST, _MOST))
    ends = np.cumsum(lengths)
    tweet = np.repeat(np.arange(len(topic)), lengths)
    position = np.arange(len(tweet)) - (ends - lengths)[tweet]
    tokens = _tokens(words, topic[tweet], language[tweet], position, rng)
    is_spam = topic[tweet] < 0
    first_campaign = (len(lexicon().topics) + 1) * len(lexicon().languages)
    tokens[is_spam] = words.pools.draw(first_campaign + campaign[topic < 0], rng)
    separators = pa.array([row.separator for row in lexicon().languages]).take(pa.array(language))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, words.texts.take(pa.array(tokens)))
    return pc.call_function("binary_join", [lists, separators])


def _tokens(
    words: WeekWords,
    topic: np.ndarray,
    language: np.ndarray,
    position: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(M,) word indices: content and function words in turn, with slips where spaces part words."""
    topics, languages = len(lexicon().topics), len(lexicon().languages)
    slip = np.array([0.15 if row.separator else 0.0 for row in lexicon().languages])
    is_content = (position % 2 == 0) ^ (rng.random(len(topic)) < slip[language])
    is_noise = is_content & (rng.random(len(topic)) < _NOISE)
    used = np.where(is_noise, rng.integers(0, topics, len(topic)), topic)
    tokens = words.pools.draw(np.where(is_content, used, topics) * languages + language, rng)
    # The meaning of a moved word is the planted truth: it never slips into another topic.
    astray = np.flatnonzero(words.is_moved[tokens] & (used != topic))
    tokens[astray] = words.pools.draw(topics * languages + language[astray], rng)
    return tokens


def _mentions(world: World, tweets: WeekTweets, block: slice, rng: np.random.Generator) -> pa.StringArray:
    """(N,) `@user`: most replies name whom they answer, a few others a favourite of the topic."""
    parent, topic = tweets.parent[block], tweets.topic[block]
    popular = world.targets.draw(np.where(topic < 0, -1, 2 * len(lexicon().topics) + topic), rng)
    who = np.where(parent >= 0, tweets.author[parent], popular)
    chance = np.where(parent >= 0, 0.6, 0.06) * (who != tweets.author[block])
    is_absent = (who < 0) | (rng.random(len(who)) >= chance)
    handles = world.user_ids.take(pa.array(np.maximum(who, 0)))
    return pc.call_function("if_else", [pa.array(is_absent), None, _join(["@", handles], "")])
