"""`where=`: a boolean SQL expression over the attributes of a version to the rows for which it is true.

DuckDB sees two things only, the table that it is handed and the expression: the connection is in memory, cannot open
files or Python variables, and its settings are locked. The same filter of a version always gives the same rows, so it
may not look at anything else, such as the time. DuckDB is loaded by the first filter.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from registry.errors import InvalidQuery

if TYPE_CHECKING:
    import duckdb


def matching_rows(table: pa.Table, where: str) -> np.ndarray:
    """(M,) int64, rising: the rows of `table` for which `where` is true, neither false nor NULL.

    >>> matching_rows(pa.table({"key": ["a", "b"], "count": [3, 9]}), "count > 5 and key like 'b%'").tolist()
    [1]

    Raises:
        InvalidQuery: `where` is no boolean expression over these columns; the message has DuckDB's words.
    """
    import duckdb

    if not isinstance(where, str):
        raise InvalidQuery(f"where is {where!r:.80}; write a SQL expression, such as \"count > 5 and key like '#%'\"")
    row = _unused_name(table.column_names)
    numbered = table.append_column(row, pa.array(np.arange(table.num_rows)))
    with _locked_connection() as connection:
        try:
            _check(connection, table, where)
            kept = connection.from_arrow(numbered).filter(where).project(f'"{row}"').to_arrow_table()
        except (duckdb.Error, UnicodeError) as error:
            columns = ", ".join(table.column_names)
            raise InvalidQuery(f"where={where!r:.200} over the columns {columns}: {error}") from error
    return np.sort(np.asarray(kept.column(0)))


def _check(connection: "duckdb.DuckDBPyConnection", table: pa.Table, where: str) -> None:
    """Refuse what is no condition on the columns of `table`; raises InvalidQuery, or what DuckDB raises."""
    kinds = [str(kind) for kind in connection.from_arrow(table).project(where).types]
    if kinds != ["BOOLEAN"]:
        raise InvalidQuery(f"where={where!r:.200} is {', '.join(kinds)}; write one condition, such as count > 5")
    text = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {where}"]).fetchall()[0][0]
    nodes = list(_nodes(json.loads(text)))
    if any(node.get("class") == "SUBQUERY" for node in nodes):
        raise InvalidQuery(f"where={where!r:.200} has a subquery; a condition is about one row and its columns")
    called = {node.get("function_name", "").lower() for node in nodes}
    named = {node["column_names"][-1].lower() for node in nodes if node.get("column_names")}
    called |= named - {name.lower() for name in table.column_names}  # current_date is parsed as a column
    if changing := sorted(called & _changing_functions()):
        raise InvalidQuery(f"where={where!r:.200} uses {changing[0]}, which may be another value in the next query")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document."""
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(inner)


@cache
def _changing_functions() -> frozenset[str]:
    """Names of DuckDB's functions whose value does not follow from their arguments: random, now, settings."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        found = connection.execute("SELECT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
        return frozenset(name for (name,) in found.fetchall())


def _locked_connection() -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(
        ":memory:", config={"enable_external_access": False, "python_enable_replacements": False}
    )
    connection.execute("SET lock_configuration = true")
    return connection


def _unused_name(names: list[str]) -> str:
    """A column name of plain letters that no column has, whatever its case."""
    taken, name = {name.lower() for name in names}, "row"
    while name in taken:
        name += "_"
    return name
