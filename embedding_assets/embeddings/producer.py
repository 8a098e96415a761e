"""`producer`: producers whose tweets one consumer likes on one day."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from embedding_assets.spec import EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.together import gather_contexts
from embedding_assets.tables.window import Prune
from embedding_assets.together_stages import together_stages
from embedding_assets.trainers.sgns import Sgns


def producers_of_days(
    connection: duckdb.DuckDBPyConnection,
    engagements: pa.Table,
    producers: pa.Table,
    kinds: Sequence[str],
    max_context: int,
    max_each: int,
) -> pa.Table:
    """One row a consumer and a day: the producers of what the one liked on the other."""
    relations = {"engagements": engagements, "producers": producers, "kinds": pa.table({"kind": [*kinds]})}
    liked = query(connection, "liked_producers", relations)
    return gather_contexts(connection, liked, max_context=max_context, max_each=max_each)


SPEC = EmbeddingSpec(
    name="producer",
    entity="producer",
    about="Skip-gram vectors of producers, from who is liked by one consumer on one day.",
    stages=together_stages(
        "producer",
        about="A context is a consumer and a day, its keys are the producers of what the consumer then liked.",
        contexts=producers_of_days,
        inputs={"engagements": this_week("raw/engagements"), "producers": this_week("graph/producers")},
        settings={"kinds": ["like", "retweet"], "max_context": 32, "max_each": 3},
    ),
    window=Window(
        pairs="producer/pairs",
        rows="producer/vocabulary",
        weeks=4,
        prune=Prune(min_count=5, max_vocabulary=50_000, subsample=None, min_pair_count=0),
    ),
    trainer=Sgns(dim=32, damping=5.0, inertia=5.0),
)
