"""Runs one SQL file: Arrow tables and Parquet datasets go in by name, an Arrow table comes out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, reduce
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.tables.errors import TableError

#: What a query may read: a table in memory, or a dataset that DuckDB scans piece by piece.
Relation: TypeAlias = pa.Table | ds.Dataset
#: A value for a `$name` in a query.
Parameter: TypeAlias = int | float | str | bool | None


def connect(
    *, memory_limit: str = "2GB", threads: int | None = None, spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that fetches no extensions and writes nothing outside its spill folder.

    Args:
        memory_limit: such as `2GB`; larger aggregations and sorts spill.
        threads: worker threads; None takes all cores. No result depends on it.
        spill: folder for what does not fit; None lets a query fail instead of spilling.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill) if spill else "",
        "autoinstall_known_extensions": False,
    }
    if threads is not None:
        settings["threads"] = threads
    return duckdb.connect(":memory:", config=settings)


@cache
def load_sql(name: str) -> str:
    """The text of `sql/<name>.sql`.

    Raises:
        TableError: there is no such query.
    """
    folder = files("embedding_assets.tables") / "sql"
    known = sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir())
    if name not in known:
        raise TableError(f"no query {name!r} in tables/sql; known: {', '.join(known)}")
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def query(
    con: duckdb.DuckDBPyConnection,
    name: str,
    relations: Mapping[str, Relation],
    **parameters: Parameter,
) -> pa.Table:
    """The result of `sql/<name>.sql` on `relations`, with `parameters` for its `$names`."""
    with registered(con, relations):
        return con.sql(load_sql(name), params=parameters or None).to_arrow_table()


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, relations: Mapping[str, Relation]) -> Iterator[None]:
    """Make `relations` readable by name inside the block, and forget them after it."""
    try:
        for name, relation in relations.items():
            con.register(name, relation)
        yield
    finally:
        for name in relations:
            con.unregister(name)


@contextmanager
def union_weighted(
    con: duckdb.DuckDBPyConnection,
    name: str,
    weeks: Mapping[str, Relation],
    weights: Mapping[str, float],
) -> Iterator[None]:
    """Make `weeks` readable as one view `name` inside the block, each row with its `weight`.

    `weeks` must not be empty, and share their columns. Datasets stay on disk: a query on the view
    scans them piece by piece.
    """
    parts = {f"{name}_{i}": week for i, week in enumerate(sorted(weeks))}
    with registered(con, {part: weeks[week] for part, week in parts.items()}):
        weighted = [
            con.view(part).select(
                duckdb.StarExpression(),
                duckdb.ConstantExpression(weights[week]).cast("DOUBLE").alias("weight"),
            )
            for part, week in parts.items()
        ]
        reduce(duckdb.DuckDBPyRelation.union, weighted).create_view(name)
        try:
            yield
        finally:
            con.execute(f'DROP VIEW "{name}"')
