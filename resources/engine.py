"""DuckDB in memory, inside the step: a memory limit, a folder to spill to, and no shared database file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource


class Engine(dg.ConfigurableResource):
    """Opens one private in-memory DuckDB per step.

    Attributes:
        spill: folder for what does not fit in memory.
        memory_limit: DuckDB's own limit, such as `8GB`.
        threads: 0 means one per core.
    """

    spill: str
    memory_limit: str = "8GB"
    threads: int = 0

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that is closed, and its memory given back, when the block ends."""
        Path(self.spill).mkdir(parents=True, exist_ok=True)
        config: dict[str, str | int | bool] = {
            "memory_limit": self.memory_limit,
            "temp_directory": self.spill,
            "autoinstall_known_extensions": False,  # a step downloads nothing
        }
        if self.threads:
            config["threads"] = self.threads
        resource = DuckDBResource(database=":memory:", connection_config=config)
        with resource.get_connection() as connection:
            yield connection
