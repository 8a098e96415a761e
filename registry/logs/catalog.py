"""What the logs under one root say: which embeddings there are, their versions, their tombstones."""

from collections.abc import Iterable

from registry import layout
from registry.layout import Place
from registry.logs.documents import NumberedLog, read_info, read_retention, read_score
from registry.records import Score, Tombstone, VersionInfo
from registry.storage.protocol import Storage


class Catalog:
    """The small records of a registry, each read once; no file of a version is touched here.

    Attributes:
        storage: where they lie.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._logs: dict[str, NumberedLog] = {}

    @property
    def root(self) -> str:
        """Where the registry lies, for messages."""
        return self.storage.root

    def log(self, folder: str) -> NumberedLog:
        """The numbered log in a folder; it remembers the entries that it has read."""
        return self._logs.setdefault(folder, NumberedLog(self.storage, folder))

    def names(self, entity: str | None = None) -> list[str]:
        """Sorted `entity/name` of all embeddings with at least one version; raises InvalidName."""
        entities = self.storage.names("") if entity is None else [layout.check_name("entity", entity)]
        return [str(place) for place in self.places(entities) if self.log(place.log).numbers()]

    def places(self, entities: Iterable[str] | None = None) -> list[Place]:
        """The folders of all embeddings, also of those that never finished a publish."""
        return [
            Place(entity, name)
            for entity in filter(layout.is_name, self.storage.names("") if entities is None else entities)
            for name in filter(layout.is_name, self.storage.names(entity))
        ]

    def versions(self, place: Place) -> list[VersionInfo]:
        """All versions ever published, by number; empty where there is none; raises Corrupt."""
        return [read_info(record, f"{place.log} {record['number']}") for record in self.log(place.log).entries()]

    def version(self, place: Place, number: int) -> VersionInfo:
        """One version; raises FileNotFoundError where there is none, and Corrupt."""
        return read_info(self.log(place.log).entry(number), f"{place.log} {number}")

    def tombstones(self, place: Place) -> dict[int, Tombstone]:
        """Version number -> why it can no longer be read; the newest entry of each counts."""
        records = self.log(place.retention).entries()
        found = [read_retention(record, f"{place.retention} {record['number']}") for record in records]
        return {tombstone.version: tombstone for tombstone in found if isinstance(tombstone, Tombstone)}

    def stand_in(self, place: Place, number: int) -> int | None:
        """The version to read for `number`: itself, what replaced it, or None where it is gone for good."""
        gone = self.tombstones(place)
        at: int | None = number
        while at is not None and at in gone:
            at = gone[at].replaced_by
        return at

    def scores(self, info: VersionInfo) -> list[Score]:
        """The newest result of every task and metric of a version."""
        folder = Place(info.entity, info.name).scores
        newest: dict[tuple[str, str], Score] = {}
        for record in self.log(folder).entries():
            if record["version"] == info.number:
                score = read_score(record, f"{folder} {record['number']}")
                newest[score.task, score.metric] = score
        return list(newest.values())
