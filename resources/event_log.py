"""Dagster's own event log in SQLite, with its connections kept open.

Dagster 1.13 opens and closes a database for every event, and waits for the disk after each: a quarter of a week's time
here, where a week is a hundred short steps. The tables and files are Dagster's; only how they are reached is ours.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import StaticPool

#: The log of all assets, and of the runs that are under way.
OPEN_AT_ONCE = 8
BUSY_SECONDS = 60


class EventLog(SqliteEventLogStorage):
    """`dagster.yaml` names it; a process that dies loses nothing, a host that dies at most its last moments."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, db.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No settings: the log lies where Dagster puts it by itself."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLog":
        """What Dagster calls with the settings of `dagster.yaml`."""
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> db.Engine:
        """The shard's one connection, opened where it is not open; only under the lock."""
        if shard not in self._engines:
            connecting = {"timeout": BUSY_SECONDS, "check_same_thread": False}  # the lock lets one thread in at a time
            engine = db.create_engine(self.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=connecting)
            self._initdb(engine)
            # In the mode that Dagster sets (WAL) this keeps the file whole whatever happens.
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > OPEN_AT_ONCE:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def dispose(self) -> None:
        """Close every connection."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()
