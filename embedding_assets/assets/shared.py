"""Weekly tables that several embeddings read. They exist when an embedding asks for them."""

from embedding_assets.spec import EVER, Stage, last_weeks, this_week
from embedding_assets.tables.producers import find_producers
from embedding_assets.text.tokens import tokenize

TOKENS = Stage(
    name="tokens",
    about=(
        "One row a tweet: its words in order, its hashtags, mentions, cashtags and linked domains, and the "
        "conversation it belongs to. From `raw/tweets` by the twitter-text rules and Unicode word boundaries."
    ),
    inputs={"tweets": this_week("raw/tweets")},
    make=lambda _connection, tweets: tokenize(tweets),
)

PRODUCERS = Stage(
    name="producers",
    about=(
        "One row an account of the follow graph: how many follow it, how many it follows, and whether it is a "
        "producer, one that relatively many follow. From `raw/follows` of all weeks so far; empty "
        "where the source has none."
    ),
    inputs={"follows": last_weeks("raw/follows", EVER, optional=True)},
    make=find_producers,
    settings={"min_followers": 10, "min_ratio": 1.0},
)

SHARED: dict[str, Stage] = {"graph/producers": PRODUCERS, "text/tokens": TOKENS}
