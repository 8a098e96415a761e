"""What an embedding is trained on: the tables that its spec names, by role and week, summed as its window says."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.records import PairTable, Week
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tables.composed import sum_bags
from embedding_assets.tables.engine import Relation
from embedding_assets.tables.window import Side, sum_window


def window_table(
    connection: duckdb.DuckDBPyConnection, spec: EmbeddingSpec, weeks: Mapping[str, Mapping[Week, Relation]]
) -> PairTable:
    """The pairs that `spec` trains on; see `sum_window`.

    Args:
        connection: where the queries run.
        spec: whose window it is.
        weeks: role (`pairs`, `rows`, `columns`) -> week -> table.
    """
    window = spec.window
    rows = Side(entity=spec.entity, weeks=weeks["rows"])
    columns = Side(entity=window.column_entity, weeks=weeks["columns"]) if window.column_entity else None
    return sum_window(connection, weeks["pairs"], rows, columns, prune=window.prune, hold_out=window.hold_out)


def window_bags(spec: EmbeddingSpec, weeks: Mapping[str, Mapping[Week, ds.Dataset]]) -> dict[str, pa.Table]:
    """Asset -> the bags of its weeks, for everything that `spec` composes; `weeks` as in `EmbeddingSpec.reads`."""
    return {asset: sum_bags(weeks[role]) for asset, role in spec.bags.items()}
