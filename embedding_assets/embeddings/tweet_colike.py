"""`tweet_colike`: tweets that the same users like; an edge weighs as much as there are users who like both."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from embedding_assets.spec import GATES, EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.together import gather_contexts
from embedding_assets.tables.window import Prune
from embedding_assets.together_stages import together_stages
from embedding_assets.trainers.sgns import Sgns
from registry.gates import MinCoverage


def tweets_of_users(
    connection: duckdb.DuckDBPyConnection, engagements: pa.Table, kinds: Sequence[str], max_context: int
) -> pa.Table:
    """One row a user: the tweets that it liked in the week."""
    relations = {"engagements": engagements, "kinds": pa.table({"kind": [*kinds]})}
    return gather_contexts(connection, query(connection, "liked_tweets", relations), max_context=max_context)


SPEC = EmbeddingSpec(
    name="tweet_colike",
    entity="tweet",
    about="Skip-gram vectors of tweets on the co-like graph: two tweets are tied by each user who likes both.",
    stages=together_stages(
        "tweet_colike",
        about="A context is a user, its keys are the tweets that the user likes.",
        contexts=tweets_of_users,
        inputs={"engagements": this_week("raw/engagements")},
        settings={"kinds": ["like", "retweet"], "max_context": 16},
        shared=False,
    ),
    window=Window(
        pairs="tweet_colike/pairs",
        rows="tweet_colike/vocabulary",
        weeks=2,
        prune=Prune(min_count=3, max_vocabulary=50_000, subsample=None, min_pair_count=0),
    ),
    trainer=Sgns(dim=32, damping=5.0, inertia=5.0),
    # Tweets come and go: of those that were served nothing need be left, so coverage is no gate.
    gates=tuple(gate for gate in GATES if not isinstance(gate, MinCoverage)),
)
