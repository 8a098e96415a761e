"""`tfw_browser`: browsers and the domains that they visit, factorised; a user is the mean of its browsers."""

import duckdb
import pyarrow as pa

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import Composed, EmbeddingSpec, Stage, Window, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd


def visit_triples(connection: duckdb.DuckDBPyConnection, visits: pa.Table, max_visits: int) -> pa.Table:
    """A browser, a domain, and how often the one visited the other."""
    return query(connection, "visit_triples", {"visits": visits}, max_visits=max_visits)


BROWSERS = Stage(
    name="browsers",
    about="One row a user and a browser that it was signed in with: visits of the week. From `raw/site_visits`.",
    inputs={"visits": this_week("raw/site_visits")},
    make=lambda connection, visits: query(connection, "user_browsers", {"visits": visits}),
)

SPEC = EmbeddingSpec(
    name="tfw_browser",
    entity="browser",
    about="Browsers and web domains, from visits: a truncated SVD of what browsers visit.",
    stages=(
        *affinity_stages(
            "tfw_browser",
            about="A source is a browser, a destination a domain, a weight the visits.",
            triples=visit_triples,
            inputs={"visits": this_week("raw/site_visits")},
            settings={"max_visits": 100},
        ),
        BROWSERS,
    ),
    window=Window(
        pairs="tfw_browser/affinities",
        rows="tfw_browser/sources",
        columns="tfw_browser/destinations",
        column_entity="domain",
        weeks=4,
        prune=Prune(min_count=2, subsample=None, max_row_sum=500, max_column_sum=10_000),
    ),
    trainer=Svd(dim=16, weights="ppmi"),
    metric="cosine",
    composed=(Composed(entity="user", of="browser", bags="tfw_browser/browsers", weeks=4),),
)
