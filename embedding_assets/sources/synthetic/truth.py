"""The planted truth about words, phrases and hashtags, as weekly snapshots."""

from datetime import datetime

import pyarrow as pa

from embedding_assets.sources.schema import TRUTH_TABLES, shift_week, week_bounds
from embedding_assets.sources.synthetic.lexicon import lexicon, week_words
from embedding_assets.sources.synthetic.settings import Settings
from embedding_assets.sources.synthetic.trends import hashtags_known_in


def truth_words(settings: Settings, week_index: int) -> pa.Table:
    """Every content word of this week with the topic that uses it then, moved ones included."""
    lex = lexicon()
    rows = sorted(
        (word.text, lex.topics[word.topic].name, lex.languages[word.language].name)
        for word in week_words(settings, week_index).words
        if word.kind in ("content", "moved")
    )
    return _table("truth_words", rows)


def truth_moved_words(settings: Settings, week_index: int) -> pa.Table:
    """Words whose topic changes, in all weeks, before and after the change."""
    lex = lexicon()
    moved_at = _moment(settings, settings.move_week_index)
    rows = [
        (word, lex.topics[before].name, lex.topics[after].name, moved_at)
        for word, (before, after) in sorted(lex.moved.items())
    ]
    return _table("truth_moved_words", rows)


def truth_phrases(settings: Settings, week_index: int) -> pa.Table:
    """Phrases of two or three words, as they are written."""
    topics = lexicon().topics
    words = week_words(settings, week_index).words
    rows = sorted((word.text, topics[word.topic].name) for word in words if word.kind == "phrase")
    return _table("truth_phrases", rows)


def truth_hashtags(settings: Settings, week_index: int) -> pa.Table:
    """Hashtags without `#`, lower case: evergreen ones (no times), all trends up to this week."""
    topics = lexicon().topics
    rows = sorted(
        (
            (
                tag.text,
                topics[tag.topic].name,
                _moment(settings, tag.born),
                _moment(settings, tag.died),
            )
            for tag in hashtags_known_in(settings.seed, week_index)
        ),
        key=lambda row: row[:2],
    )
    return _table("truth_hashtags", rows)


def _moment(settings: Settings, week_index: int | None) -> datetime | None:
    return None if week_index is None else week_bounds(shift_week(settings.first_week, week_index))[0]


def _table(name: str, rows: list[tuple]) -> pa.Table:
    schema = TRUTH_TABLES[name]
    columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)]
    return pa.table(columns, schema)
