"""`hashtag`: hashtags that meet in a conversation."""

import duckdb
import pyarrow as pa

from embedding_assets.spec import EmbeddingSpec, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.together import gather_contexts
from embedding_assets.tables.window import Prune
from embedding_assets.together_stages import together_stages
from embedding_assets.trainers.sgns import Sgns


def hashtags_of_conversations(
    connection: duckdb.DuckDBPyConnection, tokens: pa.Table, max_context: int, max_each: int
) -> pa.Table:
    """One row a conversation with several hashtags: these, in lower case as `tokenize` gives them."""
    written = query(connection, "conversation_hashtags", {"tokens": tokens})
    return gather_contexts(connection, written, max_context=max_context, max_each=max_each)


SPEC = EmbeddingSpec(
    name="hashtag",
    entity="hashtag",
    about="Skip-gram vectors of hashtags, from those that meet in a conversation.",
    stages=together_stages(
        "hashtag",
        about="A context is a conversation, its keys are the hashtags in it, case-folded.",
        contexts=hashtags_of_conversations,
        inputs={"tokens": this_week("text/tokens")},
        settings={"max_context": 16, "max_each": 10},
    ),
    window=Window(
        pairs="hashtag/pairs",
        rows="hashtag/vocabulary",
        weeks=4,
        prune=Prune(min_count=3, max_vocabulary=50_000, subsample=None, min_pair_count=0),
    ),
    trainer=Sgns(dim=32, damping=5.0, inertia=5.0),
)
