"""Sources over files that a test writes; shared by the `test_sources_*` modules."""

from pathlib import Path

from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import QUARANTINE, TABLES, Batch, shift_week

WEEK = "2026-01-05"
CLICKS = "user_id,ad_id,created_at\n"


def open_files(folder: Path, toml: str, **files: str | bytes) -> FileSource:
    """A source over `files`; `__` in a name stands for its dot."""
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    (folder / "source.toml").write_text(toml)
    return FileSource.open(folder / "source.toml", cache=folder / "cache")


def all_weeks(source: FileSource, table: str) -> dict[str, Batch]:
    week, batches = source.first_week, {}
    while week <= source.last_week:
        batches[week] = check(source.read(table, week), table)
        week = shift_week(week, 1)
    return batches


def check(batch: Batch, table: str) -> Batch:
    """Every batch adds up and keeps to the schemas."""
    assert batch.rows_in == batch.rows.num_rows + batch.quarantined.num_rows + batch.deduplicated
    assert batch.rows.schema == TABLES[table]
    assert batch.quarantined.schema == QUARANTINE
    return batch
