"""`where=`: a boolean SQL expression over the attributes of a version to the rows for which it is true.

DuckDB sees two things only, the table that it is handed and the expression: the connection is in memory, cannot open
files or Python variables, and its settings are locked. DuckDB is loaded by the first filter.
"""

from typing import TYPE_CHECKING

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
            kept = connection.from_arrow(numbered).filter(where).project(f'"{row}"').to_arrow_table()
        except (duckdb.Error, UnicodeError) as error:
            columns = ", ".join(table.column_names)
            raise InvalidQuery(f"where={where!r:.200} over the columns {columns}: {error}") from error
    return np.sort(np.asarray(kept.column(0)))


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
