"""Feature sets: a table of facts about the entities of one type, published week by week beside the embeddings.

    <entity>/<kind>.<name>/log/00000003.json     publication 3: week, columns, file and its checksum
    <entity>/<kind>.<name>/data/<attempt>.parquet

A publication holds every entity of its week and never changes. The dot keeps the folder apart from those of
embeddings, whose names have none. `registry.features.access` joins them to rows.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from registry import layout
from registry.errors import InvalidFeatures
from registry.logs.catalog import Catalog
from registry.logs.claims import claim, claims_of
from registry.logs.documents import NumberedLog, Record, dump, is_retry, moment_after, read_record
from registry.logs.moments import newest_over_time
from registry.publishing.validate import check_keys
from registry.records import FileDigest, Upstream
from registry.storage.protocol import Storage
from registry.tables.files import open_verified

Kind = Literal["raw", "derived"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureDraft:
    """What a publisher of features hands over.

    Attributes:
        entity: entity type of the keys, such as `user`.
        kind: `raw` as the events say it, `derived` computed from them.
        name: name of the set, such as `activity`.
        table: one row an entity: the key column, and a column a feature.
        key: name of the key column; string, unique.
        week: Monday of the data week.
        lineage: what the table was made from.
        created_by: the run that publishes, so that a retry can be told from a new publication.
    """

    entity: str
    kind: Kind
    name: str
    table: pa.Table
    key: str
    week: str | None = None
    lineage: Upstream | None = None
    created_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """One publication of a feature set.

    Attributes:
        number: 1, 2, 3, ... in the order of publishing.
        columns: feature -> Arrow type, in the order of the table.
        count: rows, one an entity.
        attempt: name of the file, without its ending.
        published_at: UTC, ISO 8601; never earlier than that of a lower number.
        file: its size and checksum.
        replaces: number of the publication that it stands in for, without some keys; it counts from when that
            one was published.

    The other fields are those of `FeatureDraft`.
    """

    entity: str
    kind: Kind
    name: str
    number: int
    week: str | None
    columns: Mapping[str, str]
    count: int
    attempt: str
    published_at: str
    file: FileDigest
    created_by: str | None = None
    lineage: Upstream | None = field(default=None, repr=False)
    replaces: int | None = None

    @property
    def reference(self) -> str:
        """How a feature list names it, such as `derived.activity`."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True)
class SetPlace:
    """The folders of one feature set.

    Raises:
        InvalidName: entity or name may not become a folder, or the kind is none.
    """

    entity: str
    kind: str
    name: str

    def __post_init__(self) -> None:
        layout.check_name("entity", self.entity)
        layout.check_name("feature set", self.name)
        if self.kind not in KINDS:
            raise InvalidFeatures(f"kind {self.kind!r:.80} of a feature set is none of {', '.join(KINDS)}")

    @classmethod
    def parse(cls, entity: str, folder: str) -> "SetPlace | None":
        """The set that lies in `<entity>/<folder>`; None where the folder is something else."""
        kind, dot, name = folder.partition(".")
        return cls(entity, kind, name) if dot and kind in KINDS and layout.is_name(name) else None

    def __str__(self) -> str:
        return f"{self.entity}/{self.kind}.{self.name}"

    @property
    def log(self) -> str:
        """Folder with one entry a publication."""
        return f"{self}/log"

    @property
    def data(self) -> str:
        """Folder with one file a publication."""
        return f"{self}/data"

    def file(self, attempt: str) -> str:
        """The rows of one publication."""
        return f"{self.data}/{attempt}.parquet"


def publish_features(
    draft: FeatureDraft, storage: Storage, log: NumberedLog, *, replaces: int | None = None
) -> FeatureSet:
    """Write the table, then win it a number; a retry of the same publisher and week gets the first one's.

    Args:
        draft: what is published.
        storage: where.
        log: the set's own.
        replaces: number of the publication that this one stands in for.

    Raises:
        Conflict: the file was collected as left over while this publisher slept.
        InvalidName: entity or name may not become a folder.
        InvalidFeatures: the table has no such key column, no feature, or a column of an unfit name.
        InvalidEmbedding: a key is empty, repeated or too long.
        OSError: the disk failed or is full; nothing was published.
    """
    place = SetPlace(draft.entity, draft.kind, draft.name)
    features = _check(draft)
    earlier = log.find(lambda entry: is_retry(draft.created_by, draft.week, entry))
    if earlier is None:
        attempt = layout.new_attempt()
        digest = storage.write_with(place.file(attempt), lambda path: _write(features, path))
        storage.commit(place.data)
        facts = {
            "entity": draft.entity, "kind": draft.kind, "name": draft.name, "week": draft.week,
            "columns": [(column.name, str(column.type)) for column in features.schema if column.name != "key"],
            "count": features.num_rows, "attempt": attempt, "file": digest,
            "created_by": draft.created_by, "lineage": draft.lineage, "replaces": replaces,
        }  # fmt: skip

        def name_it(entries: list[Record]) -> Record:
            claim(storage, place, attempt, entries[-1]["number"] + 1 if entries else 1)
            return facts | {"published_at": moment_after(entries)}

        earlier = log.append(name_it, lambda other: is_retry(draft.created_by, draft.week, other))
        if earlier["attempt"] != attempt:
            with suppress(OSError):  # published it is; gc takes what is left over
                storage.remove(place.file(attempt))
        storage.discard(claims_of(place, attempt))  # the log says whose it is
    return read_feature_set(earlier, f"{place.log} {earlier['number']}")


def read_feature_set(record: Record, source: str) -> FeatureSet:
    """Parse an entry of a feature set's log; raises Corrupt."""
    return read_record(FeatureSet, record, source)


def open_features(storage: Storage, published: FeatureSet) -> Path:
    """The verified Parquet file of a publication: `key` and its columns; raises Corrupt."""
    place = SetPlace(published.entity, published.kind, published.name)
    return open_verified(storage, place.file(published.attempt), published.file)


def _check(draft: FeatureDraft) -> pa.Table:
    """The table as it is stored: the key first, called `key`."""
    where = f"feature set {draft.entity}/{draft.kind}.{draft.name}"
    names = draft.table.column_names
    if draft.key not in names:
        raise InvalidFeatures(f"{where} has no key column {draft.key!r}; its columns are {', '.join(names)}")
    features = [name for name in names if name != draft.key]
    if not features:
        raise InvalidFeatures(f"{where} has no column beside its key {draft.key!r}; a feature is a column")
    if unfit := [name for name in features if not layout.is_name(name) or name == "key"]:
        raise InvalidFeatures(f"{where}: column {unfit[0]!r:.80} needs a name of a-z, 0-9, '_', '-', other than 'key'")
    if draft.week is not None and not layout.is_monday(draft.week):
        raise InvalidFeatures(f"{where}: week {draft.week!r:.80} is no Monday; write it as 2026-01-05")
    keys = draft.table[draft.key].cast(pa.string()).combine_chunks()
    if len(keys):  # nobody did anything this week: a publication of no rows says so
        check_keys(keys)
    dump({"lineage": draft.lineage})
    return pa.table({"key": keys, **{name: draft.table[name] for name in features}})


def _write(features: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    try:
        pq.write_table(features, path, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise InvalidFeatures(f"columns {features.schema.names} cannot be written as Parquet: {error}") from error


def publications(catalog: Catalog, place: SetPlace) -> list[FeatureSet]:
    """All publications of a set, in the order of their numbers; empty where there is none; raises Corrupt."""
    records = catalog.log(place.log).entries()
    return standing([read_feature_set(record, f"{place.log} {record['number']}") for record in records])


def standing(published: list[FeatureSet]) -> list[FeatureSet]:
    """The publications of a log as they count: one that was replaced has the file of what stands in for it."""
    newest = {one.replaces or one.number: one for one in published}
    return [
        replace(newest[one.number], number=one.number, published_at=one.published_at, replaces=None)
        for one in published
        if one.replaces is None
    ]


def set_places(catalog: Catalog, entity: str | None = None) -> list[SetPlace]:
    """The folders of the feature sets of one entity, or of all."""
    entities = catalog.storage.names("") if entity is None else [layout.check_name("entity", entity)]
    found = [
        SetPlace.parse(one, folder) for one in filter(layout.is_name, entities) for folder in catalog.storage.names(one)
    ]
    return [place for place in found if place is not None and catalog.log(place.log).numbers()]


def newest_sets(catalog: Catalog, entity: str | None = None) -> list[FeatureSet]:
    """The newest publication of every set, what a reader is given now: a backfill of an older week is not it."""
    return [newest_over_time(publications(catalog, place)).items[-1] for place in set_places(catalog, entity)]
