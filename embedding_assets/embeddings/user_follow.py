"""`user_follow`: who follows (`user/user_follow`) and who is followed (`user/user_followed`), both in one space.

Two ways, by the setting `trainer`: `ON_WALKS`, co-occurrence on random walks, sees friends of friends; `FACTORISED`
sees who follows whom and no more, is much faster, and says more about who is popular.
"""

import duckdb
import pyarrow as pa

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import EVER, EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd
from embedding_assets.trainers.walk_sgns import WalkSgns

ON_WALKS = WalkSgns(dim=64)
FACTORISED = Svd(dim=64, weights="ppmi")


def follow_triples(connection: duckdb.DuckDBPyConnection, follows: pa.Table) -> pa.Table:
    """Who follows, who is followed, and 1."""
    return query(connection, "follow_triples", {"follows": follows})


SPEC = EmbeddingSpec(
    name="user_follow",
    entity="user",
    about="Users by whom they follow and by who follows them, from all follows so far: skip-gram on random walks.",
    stages=affinity_stages(
        "user_follow",
        about="A source is who follows, a destination who is followed, a weight the number of new follows.",
        triples=follow_triples,
        inputs={"follows": this_week("raw/follows")},
        settings={},
    ),
    window=Window(
        pairs="user_follow/affinities",
        rows="user_follow/sources",
        columns="user_follow/destinations",
        column_entity="user",
        column_name="user_followed",
        weeks=EVER,
        # A follow of someone with more followers than the cap weighs less: walks do not all end at the same few.
        prune=Prune(min_count=1, subsample=None, min_pair_count=0, max_row_sum=2_000, max_column_sum=10_000),
    ),
    trainer=ON_WALKS,
    metric="cosine",
)
