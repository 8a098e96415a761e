"""`user_ad`: users and the ads that they click on, both sides in one space."""

import duckdb
import pyarrow as pa

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd


def click_triples(connection: duckdb.DuckDBPyConnection, clicks: pa.Table, max_clicks: int) -> pa.Table:
    """A user, an ad, and how often the one clicked on the other."""
    return query(connection, "click_triples", {"clicks": clicks}, max_clicks=max_clicks)


SPEC = EmbeddingSpec(
    name="user_ad",
    entity="user",
    about="Users and ads, from clicks: a truncated SVD of the bipartite graph.",
    stages=affinity_stages(
        "user_ad",
        about="A source is a user, a destination an ad, a weight the clicks.",
        triples=click_triples,
        inputs={"clicks": this_week("raw/ad_clicks")},
        settings={"max_clicks": 10},
    ),
    window=Window(
        pairs="user_ad/affinities",
        rows="user_ad/sources",
        columns="user_ad/destinations",
        column_entity="ad",
        weeks=8,
        prune=Prune(min_count=2, subsample=None, max_row_sum=100, max_column_sum=10_000),
    ),
    trainer=Svd(dim=16, weights="ppmi"),
    metric="cosine",
)
