"""The weekly stages that every affinity embedding shares: who is tied to whom, how strongly.

A function that makes (source, destination, weight) triples goes in; the three stages that a `Window` sums come out.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import duckdb
import pyarrow as pa

from embedding_assets.spec import Input, Stage, this_week
from embedding_assets.tables.affinity import destination_counts, source_counts, sum_triples


def affinity_stages(
    name: str,
    *,
    about: str,
    triples: Callable[..., pa.Table],
    inputs: Mapping[str, Input],
    settings: Mapping[str, Any],
) -> tuple[Stage, Stage, Stage]:
    """The stages `affinities`, `sources` and `destinations` of the embedding `name`.

    Args:
        name: the embedding's.
        about: what a source, a destination and a weight are; one sentence.
        triples: pure function `triples(connection, **inputs, **settings)` of a table with `source`, `destination` and
            `weight`, as `sum_triples` takes it.
        inputs: parameter name of `triples` -> what it is given.
        settings: further parameters of `triples`, such as caps; recorded in the version's manifest.
    """

    @wraps(triples)  # a stage's inputs are checked against the function's own parameters
    def summed(connection: duckdb.DuckDBPyConnection, **given: Any) -> pa.Table:
        return sum_triples(connection, triples(connection, **given))

    affinities = this_week(f"{name}/affinities")
    return (
        Stage(
            name="affinities",
            about=f"{about} One row a pair of the week, with the summed weight; never pruned, so that windows add up.",
            inputs=inputs,
            make=summed,
            settings=settings,
        ),
        Stage(
            name="sources",
            about=f"One row a source of the week: its stable id and the sum of its weights. From `{affinities.asset}`.",
            inputs={"affinities": affinities},
            make=source_counts,
        ),
        Stage(
            name="destinations",
            about=f"One row a destination of the week: its id and the sum of its weights. From `{affinities.asset}`.",
            inputs={"affinities": affinities},
            make=destination_counts,
        ),
    )
