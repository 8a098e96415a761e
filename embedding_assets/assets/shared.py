"""Weekly tables that several embeddings read. They exist when an embedding asks for them."""

from embedding_assets.spec import Stage, this_week
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

SHARED: dict[str, Stage] = {"text/tokens": TOKENS}
