"""A draft becomes one version: files, manifest, then the number in the log that makes it exist.

Order of what reaches the disk: each file, its folder and the way to it, the log entry. A crash
anywhere leaves either nothing that a reader sees, or the whole version.
"""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from registry import layout
from registry.compose.composer import composer_document
from registry.logs.claims import claim, claims_of
from registry.logs.documents import NumberedLog, Record, dump, is_retry, moment_after, now
from registry.publishing.cut import frequent_keys
from registry.publishing.validate import check_draft
from registry.records import Draft, FileDigest, GraphInfo, IndexInfo, Manifest, VersionInfo
from registry.search.forest import build_index, calibrate_forest, plan_index
from registry.search.graph import build_graph, calibrate_graph
from registry.search.scan import Vectors
from registry.storage.protocol import Storage
from registry.tables.keys import index_chunks
from registry.tables.parquet import as_table, write_parquet
from registry.tables.tensors import tensor_chunks


def publish(draft: Draft, storage: Storage, log: NumberedLog, *, replaces: int | None = None) -> Record:
    """Write the draft as a new attempt and win it a number; returns its log entry.

    A retry is told by `created_by`: where the log has a version of the same publisher and week,
    that one is returned and this attempt is dropped.

    Args:
        draft: what is published.
        storage: where.
        log: the embedding's own.
        replaces: number of the version that this one stands in for, without some keys.

    Raises:
        InvalidName: entity or name may not become a folder.
        InvalidEmbedding: keys, vectors, attributes or fields are wrong.
        Conflict: the attempt was collected as left over while this publisher slept.
        OSError: the disk failed or is full; no version was made, unless the very last sync failed.
    """
    check_draft(draft)
    earlier = log.find(lambda entry: is_retry(draft.created_by, draft.week, entry))
    if earlier is not None:
        return earlier
    place, attempt = layout.Place(draft.entity, draft.name), layout.new_attempt()
    folder = place.attempt(attempt)
    with ExitStack() as undo:
        undo.callback(storage.discard, folder)
        info = _write_attempt(draft, storage, folder)
        undo.pop_all()  # from here on a log entry may name the folder, even if the next line raises

    def name_it(entries: list[Record]) -> Record:
        claim(storage, place, attempt, entries[-1]["number"] + 1 if entries else 1)
        return {**info, "attempt": attempt, "replaces": replaces, "published_at": moment_after(entries)}

    entry = log.append(name_it, lambda other: is_retry(draft.created_by, draft.week, other))
    if entry["attempt"] != attempt:
        storage.discard(folder)
    storage.discard(claims_of(place, attempt))  # the log says whose it is
    return entry


def _write_attempt(whole: Draft, storage: Storage, folder: str) -> Record:
    draft = frequent_keys(whole)
    vectors = Vectors(np.ascontiguousarray(draft.vectors))
    files = _write_files(draft, vectors, storage, folder)
    index = _write_index(draft, vectors, storage, folder, files)
    graph = _write_graph(draft, vectors, index, storage, folder, files) if draft.graph else None
    manifest = replace(_manifest(draft, files, index), graph=graph, left_out=len(whole.keys) - len(draft.keys))
    digest = storage.write(f"{folder}/{layout.MANIFEST}", [dump(manifest)])
    storage.commit(folder)
    shared = VersionInfo.__dataclass_fields__.keys() & Manifest.__dataclass_fields__.keys()
    return {**{name: getattr(manifest, name) for name in shared}, "manifest": digest}


def _write_files(draft: Draft, vectors: Vectors, storage: Storage, folder: str) -> dict[str, FileDigest]:
    tensors = {**draft.extra, "vectors": vectors.values}
    table = as_table(draft.keys, vectors.values, draft.attributes)
    files = {
        layout.VECTORS: storage.write_with(f"{folder}/{layout.VECTORS}", lambda path: write_parquet(table, path)),
        layout.TABLE: storage.write(f"{folder}/{layout.TABLE}", tensor_chunks("vectors", tensors)),
        layout.KEYS: storage.write(f"{folder}/{layout.KEYS}", index_chunks(draft.keys)),
        layout.LINEAGE: storage.write(f"{folder}/{layout.LINEAGE}", [dump({"lineage": draft.lineage})]),
    }
    composer = composer_document(draft.composer, draft.vectors.shape[1], files[layout.TABLE])
    files[layout.COMPOSER] = storage.write(f"{folder}/{layout.COMPOSER}", [dump(composer)])
    return files


def _write_index(
    draft: Draft, vectors: Vectors, storage: Storage, folder: str, files: dict[str, FileDigest]
) -> IndexInfo:
    path, info = f"{folder}/{layout.INDEX}", plan_index(vectors, draft.metric)
    files[layout.INDEX] = storage.write_with(path, lambda target: build_index(vectors, info, target))
    return calibrate_forest(storage.open_path(path, files[layout.INDEX]), vectors, info, draft.metric)


def _write_graph(
    draft: Draft, vectors: Vectors, index: IndexInfo, storage: Storage, folder: str, files: dict[str, FileDigest]
) -> GraphInfo:
    path = f"{folder}/{layout.GRAPH}"
    files[layout.GRAPH] = storage.write_with(path, lambda target: build_graph(vectors, index, target))
    return calibrate_graph(storage.open_path(path, files[layout.GRAPH]), vectors, index, draft.metric)


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
        created_at=now(),
        min_count=draft.min_count,
    )
