"""`consumer_producer`: users and the producers whose tweets they like and retweet, both sides in one space."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd


def engagement_triples(
    connection: duckdb.DuckDBPyConnection,
    engagements: pa.Table,
    producers: pa.Table,
    kinds: Mapping[str, float],
    max_weight: float,
) -> pa.Table:
    """A user, a producer, and the weights of its engagements times the weight of their kind."""
    weights = pa.table({"kind": [*kinds], "weight": pa.array(kinds.values(), pa.float64())})
    relations = {"engagements": engagements, "producers": producers, "kinds": weights}
    return query(connection, "engagement_triples", relations, max_weight=max_weight)


SPEC = EmbeddingSpec(
    name="consumer_producer",
    entity="user",
    about="Consumers and producers, from likes and retweets: a truncated SVD of who engages with whom.",
    stages=affinity_stages(
        "consumer_producer",
        about="A source is a user, a destination a producer, a weight their engagements, weighed by kind.",
        triples=engagement_triples,
        inputs={"engagements": this_week("raw/engagements"), "producers": this_week("graph/producers")},
        settings={"kinds": {"like": 1.0, "retweet": 2.0}, "max_weight": 100.0},
    ),
    window=Window(
        pairs="consumer_producer/affinities",
        rows="consumer_producer/sources",
        columns="consumer_producer/destinations",
        column_entity="producer",
        weeks=4,
        prune=Prune(min_count=2, subsample=None, min_pair_count=0, max_row_sum=300, max_column_sum=10_000),
    ),
    # Sources carry the singular values: nearness of users then follows A A^T (Spearman with the Jaccard index of
    # their follows .685, with the values on both sides .630), and products with producers stay what they are.
    trainer=Svd(dim=32, weights="ppmi", spread="sources"),
    metric="dot",
)
