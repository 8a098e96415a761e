"""`tfw_producer`: domains and producers that the same users visit and follow; a user is the mean of its domains."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.records import Week
from embedding_assets.spec import EVER, Composed, EmbeddingSpec, Stage, Window, last_weeks, this_week
from embedding_assets.tables.engine import query
from embedding_assets.tables.producers import all_follows
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.sgns import Sgns


def visits_of_users(connection: duckdb.DuckDBPyConnection, visits: pa.Table, max_visits: int) -> pa.Table:
    """A user, a domain, and how often the one visited the other, with any browser."""
    return query(connection, "user_visits", {"visits": visits}, max_visits=max_visits)


def domain_producer_triples(
    connection: duckdb.DuckDBPyConnection,
    visits: pa.Table,
    follows: Mapping[Week, ds.Dataset],
    producers: pa.Table,
    max_domains: int,
    max_producers: int,
) -> pa.Table:
    """A domain, a producer, and the visits to the one by those who follow the other."""
    relations = {"visits": visits, "follows": all_follows(follows), "producers": producers}
    return query(connection, "visited_and_followed", relations, max_domains=max_domains, max_producers=max_producers)


VISITS = Stage(
    name="visits",
    about="One row a user and a domain: visits of the week, with any browser. From `raw/site_visits`.",
    inputs={"visits": this_week("raw/site_visits")},
    make=visits_of_users,
    settings={"max_visits": 20},
)

SPEC = EmbeddingSpec(
    name="tfw_producer",
    entity="domain",
    about="Web domains and producers, by who visits the one and follows the other: skip-gram over two entities.",
    stages=(
        VISITS,
        *affinity_stages(
            "tfw_producer",
            about="A source is a domain, a destination a producer, a weight the visits by the producer's followers.",
            triples=domain_producer_triples,
            inputs={
                "visits": this_week("tfw_producer/visits"),
                "follows": last_weeks("raw/follows", EVER),
                "producers": this_week("graph/producers"),
            },
            settings={"max_domains": 50, "max_producers": 100},
        ),
    ),
    window=Window(
        pairs="tfw_producer/affinities",
        rows="tfw_producer/sources",
        columns="tfw_producer/destinations",
        column_entity="producer",
        weeks=4,
        prune=Prune(min_count=5, subsample=None, max_row_sum=10_000, max_column_sum=10_000),
    ),
    trainer=Sgns(dim=16),
    metric="cosine",
    composed=(Composed(entity="user", of="domain", bags="tfw_producer/visits", weeks=4),),
)
