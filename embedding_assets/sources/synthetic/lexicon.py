"""The words of the synthetic Twitter: `lexicon.toml` and a seed in, a week's vocabulary out."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from embedding_assets.sources.synthetic.draws import ALWAYS, Pools, generator, zipf
from embedding_assets.sources.synthetic.settings import Settings

#: How many weeks an invented content word lives before another takes its place.
FRESH_WEEKS = 12
#: Bots that share one spam phrase: so few that a minimum number of authors tells it from others.
BOTS_PER_CAMPAIGN = 3
#: Position of English, which most users write, in `lexicon().languages`.
ENGLISH = 0
_PHRASE_RANK, _MOVED_RANK = 6, 2
_PRIME = 7_368_787  # shares no factor with any number of syllables


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """One language: how its sentences are put together and how its invented words sound."""

    name: str
    separator: str
    utc_offset_hours: int
    countries: tuple[str, ...]
    endings: tuple[str, ...]
    syllables: tuple[str, ...]
    function: tuple[str, ...]

    @property
    def fresh_slots(self) -> int:
        """How many invented words each topic has at a time."""
        return 0 if not self.syllables else 12 if self.name == "en" else 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """One topic; `words` and `phrases` are by language, most frequent first."""

    name: str
    emoji: tuple[str, ...]
    hashtags: tuple[str, ...]
    cashtags: tuple[str, ...]
    phrases: dict[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lexicon:
    """All hand-written words; `moved` maps a word to its (earlier, later) topic index."""

    languages: tuple[Language, ...]
    topics: tuple[Topic, ...]
    moved: dict[str, tuple[int, int]]
    written: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """Reads `lexicon.toml` once per process."""
    data = tomllib.loads(
        files("embedding_assets.sources.synthetic").joinpath("lexicon.toml").read_text(encoding="utf-8")
    )
    languages = tuple(_language(name, row) for name, row in data["languages"].items())
    topics = tuple(_topic(name, row, languages) for name, row in data["topics"].items())
    index = {topic.name: position for position, topic in enumerate(topics)}
    moved = {word: (index[before], index[after]) for word, (before, after) in data["moved"].items()}
    written = {word for topic in topics for words in topic.words.values() for word in words}
    written.update(moved, *(language.function for language in languages))
    return Lexicon(languages=languages, topics=topics, moved=moved, written=frozenset(written))


def _language(name: str, row: dict) -> Language:
    syllables = tuple(onset + nucleus for onset in row["onsets"] for nucleus in row["nuclei"])
    return Language(
        name=name,
        separator=row["separator"],
        utc_offset_hours=row["utc_offset_hours"],
        countries=tuple(row["countries"]),
        endings=tuple(row["endings"]),
        syllables=syllables,
        function=tuple(row["function"].split()),
    )


def _topic(name: str, row: dict, languages: tuple[Language, ...]) -> Topic:
    return Topic(
        name=name,
        emoji=tuple(row["emoji"]),
        hashtags=tuple(row["hashtags"]),
        cashtags=tuple(row["cashtags"]),
        phrases={language: tuple(phrases) for language, phrases in row["phrases"].items()},
        words={language.name: tuple(row[language.name].split()) for language in languages},
    )


def invent(number: int, *, language: Language, syllables: int, seed: int) -> str:
    """A pronounceable word for `number`; two numbers give two words until the syllables run out.

    The number is scrambled by an affine map and written in the base of the language's syllables. A
    word that stands in the lexicon is made longer, so that no invented word has two meanings.
    """
    base = len(language.syllables)
    code = (number * _PRIME + _shift(seed, f"{language.name}/{syllables}")) % base**syllables
    parts = [language.syllables[code // base**place % base] for place in range(syllables)]
    word = "".join(parts)
    return word + parts[0] if word in lexicon().written else word


@lru_cache(maxsize=64)
def _shift(seed: int, purpose: str) -> int:
    return int(generator(seed, ALWAYS, f"invent/{purpose}").integers(2**40))


class Word(NamedTuple):
    """One written form; `topic` is -1 for words of none, `group` is its pool in `WeekWords`."""

    text: str
    kind: Literal["content", "moved", "phrase", "function", "spam"]
    topic: int
    language: int
    group: int
    weight: float


@dataclass(frozen=True, kw_only=True, eq=False)
class WeekWords:
    """Everything that tweets of one week are written with.

    Attributes:
        words: S words; a phrase is one word with spaces inside.
        texts: (S,) their written forms.
        is_moved: (S,) bool.
        pools: word indices by group: T * L groups of content (topic * L + language), then L groups
            of function words, then one group per spam campaign.
    """

    words: tuple[Word, ...]
    texts: pa.StringArray
    is_moved: np.ndarray
    pools: Pools


@lru_cache(maxsize=4)
def week_words(settings: Settings, week_index: int) -> WeekWords:
    """One week's vocabulary: moved words under that week's topic, invented words that live then."""
    words = (
        *_content_words(settings, week_index),
        *_phrases(),
        *_function_words(),
        *_spam(settings),
    )
    groups = np.array([word.group for word in words])
    weights = np.array([word.weight for word in words])
    return WeekWords(
        words=words,
        texts=pa.array([word.text for word in words], pa.string()),
        is_moved=np.array([word.kind == "moved" for word in words]),
        pools=Pools(groups, np.arange(len(words)), weights, int(groups.max()) + 1),
    )


def moved_topic(word: str, settings: Settings, week_index: int) -> int:
    """The topic that uses a moved word in this week."""
    before, after = lexicon().moved[word]
    return before if week_index < settings.move_week_index else after


def campaigns(settings: Settings) -> int:
    """How many spam phrases there are."""
    return -(-settings.bots // BOTS_PER_CAMPAIGN)


def _weight(rank: float) -> float:
    return (rank + 3) ** -0.8


def _content_words(settings: Settings, week_index: int) -> Iterator[Word]:
    lex = lexicon()
    for group, (topic, language) in enumerate(np.ndindex(len(lex.topics), len(lex.languages))):
        written = lex.topics[topic].words[lex.languages[language].name]
        fresh = _fresh_words(settings, week_index, topic, lex.languages[language])
        for rank, text in enumerate([*written, *fresh]):
            yield Word(text, "content", topic, language, group, _weight(rank))
    for text in lex.moved:
        topic = moved_topic(text, settings, week_index)
        yield Word(text, "moved", topic, ENGLISH, topic * len(lex.languages), _weight(_MOVED_RANK))


def _fresh_words(settings: Settings, week_index: int, topic: int, language: Language) -> Iterator[str]:
    slots = language.fresh_slots
    for slot in range(slots):
        # Slots begin at different weeks, so words come and go one at a time.
        generation = (week_index + slot * FRESH_WEEKS // slots) // FRESH_WEEKS
        number = (generation * len(lexicon().topics) + topic) * slots + slot
        yield invent(number, language=language, syllables=3, seed=settings.seed)


def _phrases() -> Iterator[Word]:
    lex = lexicon()
    for topic, row in enumerate(lex.topics):
        for language, name in enumerate(language.name for language in lex.languages):
            group = topic * len(lex.languages) + language
            for text in row.phrases.get(name, ()):
                yield Word(text, "phrase", topic, language, group, _weight(_PHRASE_RANK))


def _function_words() -> Iterator[Word]:
    lex = lexicon()
    for language, row in enumerate(lex.languages):
        group = len(lex.topics) * len(lex.languages) + language
        for text, weight in zip(row.function, zipf(len(row.function), exponent=0.9, shift=4.0), strict=True):
            yield Word(text, "function", -1, language, group, float(weight))


def _spam(settings: Settings) -> Iterator[Word]:
    lex = lexicon()
    first = (len(lex.topics) + 1) * len(lex.languages)
    for campaign in range(campaigns(settings)):
        parts = [
            invent(
                campaign * 3 + part,
                language=lex.languages[ENGLISH],
                syllables=4,
                seed=settings.seed,
            )
            for part in range(3)
        ]
        yield Word(" ".join(parts), "spam", -1, ENGLISH, first + campaign, 1.0)
