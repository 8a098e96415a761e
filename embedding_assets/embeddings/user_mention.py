"""`user_mention`: users and the accounts that they mention in their tweets, both sides in one space."""

import duckdb
import pyarrow as pa

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd


def mention_triples(connection: duckdb.DuckDBPyConnection, tokens: pa.Table, max_tweets: int) -> pa.Table:
    """A user, a mentioned account, and in how many tweets."""
    return query(connection, "mention_triples", {"tokens": tokens}, max_tweets=max_tweets)


SPEC = EmbeddingSpec(
    name="user_mention",
    entity="user",
    about="Users and the accounts that they mention: a truncated SVD of who writes to or about whom.",
    stages=affinity_stages(
        "user_mention",
        about="A source is a user, a destination a mentioned account, a weight the tweets.",
        triples=mention_triples,
        inputs={"tokens": this_week("text/tokens")},
        settings={"max_tweets": 20},
    ),
    window=Window(
        pairs="user_mention/affinities",
        rows="user_mention/sources",
        columns="user_mention/destinations",
        column_entity="mention",
        weeks=8,
        prune=Prune(min_count=3, subsample=None, max_row_sum=300, max_column_sum=10_000),
    ),
    trainer=Svd(dim=32, weights="ppmi"),
    metric="cosine",
)
