"""`word`: skip-gram vectors of words, phrases and emoji, from four weeks of conversations."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.records import Week
from embedding_assets.spec import EmbeddingSpec, Features, Stage, Watch, Window, last_weeks, this_week
from embedding_assets.tables.pairs import count_pairs
from embedding_assets.tables.phrases import find_phrases
from embedding_assets.tables.vocabulary import count_vocabulary
from embedding_assets.tables.window import Prune
from embedding_assets.text.corpus import build_corpus
from embedding_assets.trainers.sgns import Sgns

WINDOW = 5  # tokens on each side of a center, inside one conversation


def phrases_of_weeks(connection: duckdb.DuckDBPyConnection, tokens: Mapping[Week, ds.Dataset]) -> pa.Table:
    """Phrases of several weeks together: one week alone is too noisy to name them the same way twice."""
    weeks = [week.to_table(columns=["user_id", "words"]) for week in tokens.values()]
    return find_phrases(connection, pa.concat_tables(weeks))


PHRASES = Stage(
    name="phrases",
    about=(
        "One row a phrase, such as `new york`, that the last four weeks use as one word: NPMI (Bouma 2009) "
        "above a bound, often enough and by enough authors, so that no bot makes a phrase."
    ),
    inputs={"tokens": last_weeks("text/tokens", 4)},
    make=phrases_of_weeks,
)

CORPUS = Stage(
    name="corpus",
    about=(
        "One row a conversation of the week: the words of its tweets in the order of time, each phrase one "
        "token. From `text/tokens` and `word/phrases`."
    ),
    inputs={"tokens": this_week("text/tokens"), "phrases": this_week("word/phrases")},
    make=lambda _connection, tokens, phrases: build_corpus(tokens, phrases),
)

VOCABULARY = Stage(
    name="vocabulary",
    about=(
        "One row a token of the week: its stable 60-bit id, how often it occurs and in how many "
        "conversations. Never pruned, so that windows add up. From `word/corpus`."
    ),
    inputs={"corpus": this_week("word/corpus")},
    make=count_vocabulary,
    features=Features(entity="word", name="usage", columns=("count", "conversations")),
)

PAIRS = Stage(
    name="pairs",
    about=(
        f"One row an ordered pair of tokens: how often they lie within {WINDOW} of each other inside a "
        "conversation of the week. Never pruned. From `word/corpus`."
    ),
    inputs={"corpus": this_week("word/corpus")},
    make=lambda connection, corpus: count_pairs(connection, corpus, window=WINDOW),
    version=f"1-window{WINDOW}",
)

SPEC = EmbeddingSpec(
    name="word",
    entity="word",
    about="Skip-gram vectors of words, phrases and emoji, from what people write in conversations.",
    stages=(PHRASES, CORPUS, VOCABULARY, PAIRS),
    window=Window(
        pairs="word/pairs",
        rows="word/vocabulary",
        weeks=4,
        prune=Prune(min_count=10, max_vocabulary=50_000, subsample=1e-3),
    ),
    trainer=Sgns(dim=64),
    metric="cosine",
    watches=(
        # Over 78 weeks of real tweets a month keeps half of the most frequent words; a week keeps 0.29 of neighbours.
        Watch(asset="drift/token_overlap", number="word kept 4w", least=0.4),
        Watch(asset="word/scores", number="stability.v1/neighbors_kept", least=0.15),
    ),
)
