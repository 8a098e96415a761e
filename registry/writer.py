"""A draft becomes one version: files, manifest, then the number in the log that makes it exist.

Order of what reaches the disk: each file, its folder and the way to it, the log entry. A crash
anywhere leaves either nothing that a reader sees, or the whole version.
"""

import datetime as dt
from contextlib import ExitStack

import numpy as np

from registry import layout
from registry.documents import NumberedLog, Record, dump
from registry.forest import build_index, calibrate, plan_index
from registry.keys import index_chunks
from registry.parquet import as_table, write_parquet
from registry.records import Draft, FileDigest, IndexInfo, Manifest, VersionInfo
from registry.scan import Vectors
from registry.storage import Storage
from registry.tensors import tensor_chunks
from registry.validate import check_draft


def publish(draft: Draft, storage: Storage, log: NumberedLog) -> Record:
    """Write the draft as a new attempt and win it a number; returns its log entry.

    A retry is told by `created_by`: where the log has a version of the same publisher and week,
    that one is returned and this attempt is dropped.

    Raises:
        InvalidName: entity or name may not become a folder.
        InvalidEmbedding: keys, vectors, attributes or fields are wrong.
        OSError: the disk failed or is full; no version was made, unless the very last sync failed.
    """
    check_draft(draft)
    earlier = log.find(lambda entry: _is_retry(draft, entry))
    if earlier is not None:
        return earlier
    attempt = layout.new_attempt()
    folder = layout.Place(draft.entity, draft.name).attempt(attempt)
    with ExitStack() as undo:
        undo.callback(storage.discard, folder)
        info = _write_attempt(draft, storage, folder)
        undo.pop_all()  # from here on a log entry may name the folder, even if the next line raises
    entry = log.append(
        lambda entries: {**info, "attempt": attempt, "published_at": _published_at(entries)},
        lambda other: _is_retry(draft, other),
    )
    if entry["attempt"] != attempt:
        storage.discard(folder)
    return entry


def _write_attempt(draft: Draft, storage: Storage, folder: str) -> Record:
    files, index = _write_files(draft, storage, folder)
    manifest = _manifest(draft, files, index)
    digest = storage.write(f"{folder}/{layout.MANIFEST}", [dump(manifest)])
    storage.commit(folder)
    shared = VersionInfo.__dataclass_fields__.keys() & Manifest.__dataclass_fields__.keys()
    return {**{name: getattr(manifest, name) for name in shared}, "manifest": digest}


def _write_files(draft: Draft, storage: Storage, folder: str) -> tuple[dict[str, FileDigest], IndexInfo]:
    vectors = Vectors(np.ascontiguousarray(draft.vectors))
    tensors = {**draft.extra, "vectors": vectors.values}
    table = as_table(draft.keys, vectors.values, draft.attributes)
    index = plan_index(vectors, draft.metric)
    files = {
        layout.VECTORS: storage.write_with(f"{folder}/{layout.VECTORS}", lambda path: write_parquet(table, path)),
        layout.TABLE: storage.write(f"{folder}/{layout.TABLE}", tensor_chunks("vectors", tensors)),
        layout.KEYS: storage.write(f"{folder}/{layout.KEYS}", index_chunks(draft.keys)),
        layout.LINEAGE: storage.write(f"{folder}/{layout.LINEAGE}", [dump({"lineage": draft.lineage})]),
        layout.INDEX: storage.write_with(f"{folder}/{layout.INDEX}", lambda path: build_index(vectors, index, path)),
    }
    built = storage.open_path(f"{folder}/{layout.INDEX}")
    return files, calibrate(built, vectors, index, draft.metric)


def _manifest(draft: Draft, files: dict[str, FileDigest], index: IndexInfo) -> Manifest:
    count, dim = draft.vectors.shape
    return Manifest(
        schema=layout.SCHEMA,
        entity=draft.entity,
        name=draft.name,
        week=draft.week,
        window_weeks=draft.window_weeks,
        count=count,
        dim=dim,
        metric=draft.metric,
        space=draft.space,
        trainer=draft.trainer,
        training=draft.training,
        attributes=tuple(draft.attributes.column_names) if draft.attributes is not None else (),
        index=index,
        files=files,
        created_by=draft.created_by,
        created_at=_now(),
    )


def _is_retry(draft: Draft, entry: Record) -> bool:
    return draft.created_by is not None and (entry["created_by"], entry["week"]) == (
        draft.created_by,
        draft.week,
    )


def _published_at(entries: list[Record]) -> str:
    """Now, but never before the version before: a clock set back must not reorder versions."""
    return max([_now(), *(entry["published_at"] for entry in entries[-1:])])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
