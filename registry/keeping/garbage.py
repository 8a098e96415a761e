"""Collect what nobody needs: attempts that were left over, temporary files, and the files of retired versions.

Everything is kept that is younger than an age, that a log names, or that a pin or a lease holds. The
age is a courtesy to those who work slowly; that nothing is lost does not rest on it, nor on clocks
that agree: an attempt goes only after a claim that keeps its publisher from naming it (`claims`).
"""

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from registry import layout
from registry.errors import Corrupt, InvalidQuery
from registry.features.sets import SetPlace, publications, set_places
from registry.keeping.holds import holds
from registry.layout import Place
from registry.logs.catalog import Catalog
from registry.logs.claims import claims_of, condemn
from registry.logs.documents import read_manifest
from registry.logs.resolve import alias_names
from registry.records import FileDigest
from registry.storage.protocol import Storage

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.3)  # from a publisher's claim to its log entry it is one request

AnyPlace = TypeVar("AnyPlace", Place, SetPlace)


@dataclass(kw_only=True)
class Collected:
    """What a collection did, or with `dry_run` would do.

    Attributes:
        removed: folders and files that went, relative to the root.
        kept: what looks left over and stays -> why.
        bytes: total size of what was removed.
        dry_run: nothing was touched.
    """

    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    dry_run: bool = False


def collect(catalog: Catalog, older_than: dt.timedelta, *, dry_run: bool = False) -> Collected:
    """Walk over all embeddings and feature sets and remove what is left over.

    Args:
        catalog: the registry.
        older_than: how long an attempt may take to publish, and a reader to finish with a version
            that was retired under it. A day is ample; with less, a slow publisher may have to
            publish again.
        dry_run: only say what would go.

    Raises:
        InvalidQuery: `older_than` is negative.
    """
    if older_than < dt.timedelta(0):
        raise InvalidQuery(f"older_than is {older_than}; an age is not negative")
    found = Collected(dry_run=dry_run)
    before = dt.datetime.now(dt.UTC) - older_than
    for place in catalog.places():
        _Versions(catalog, place, before, found).collect()
    for features in set_places(catalog):
        _Features(catalog, features, before, found).collect()
    return found


def bury(catalog: Catalog, place: Place | SetPlace, attempt: str) -> bool:
    """Whether an attempt that the log did not name never will be named: see `condemn`."""
    entries = catalog.log(place.log).entries()
    if not condemn(catalog.storage, place, attempt, entries[-1]["number"] if entries else 0):
        return False
    return all(entry["attempt"] != attempt for entry in catalog.log(place.log).entries())


def bury_all(
    catalog: Catalog, place: Place | SetPlace, unnamed: Callable[[], Sequence[str]], pauses: Sequence[float] = _PAUSES
) -> list[str]:
    """Bury all attempts that a log does not name, and wait a while for publishers who are about to have one named.

    Args:
        catalog: the registry.
        place: the embedding or feature set.
        unnamed: lists the attempts that its log does not name yet.
        pauses: seconds, between one look and the next.

    Returns:
        The attempts that somebody was about to name all the while.
    """
    waiting = [attempt for attempt in unnamed() if not bury(catalog, place, attempt)]
    for pause in pauses:
        if waiting:
            time.sleep(pause)
            waiting = [attempt for attempt in unnamed() if not bury(catalog, place, attempt)]
    return waiting


def forget_copies(storage: Storage, folder: str) -> None:
    """Drop what this machine's cache holds of an attempt, before its manifest, which says what that is, goes."""
    path = f"{folder}/{layout.MANIFEST}"
    try:
        data = storage.read(path)
        digests = read_manifest(data, path).files.values()
    except (FileNotFoundError, Corrupt):  # torn: nobody can have opened a version of it
        return
    for digest in (*digests, FileDigest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())):
        storage.forget(digest)


def unneeded_features(catalog: Catalog, place: SetPlace) -> list[tuple[str, bool]]:
    """Attempts of a feature set whose file does not count, each with whether the log names it: then it was replaced."""
    listed = [name.removesuffix(".parquet") for name in catalog.storage.names(place.data)]
    counting = {one.attempt for one in publications(catalog, place)}
    named = {entry["attempt"] for entry in catalog.log(place.log).entries()}
    return [(one, one in named) for one in listed if layout.is_attempt(one) and one not in counting]


class _Share(Generic[AnyPlace]):
    """What the collection of an embedding and that of a feature set have in common."""

    def __init__(self, catalog: Catalog, place: AnyPlace, before: dt.datetime, found: Collected) -> None:
        self._catalog = catalog
        self._storage = catalog.storage
        self._place = place
        self._before = before
        self._found = found

    def _remove_temporary(self, folder: str) -> None:
        for name in self._storage.names(folder):
            if name.startswith(".tmp-") and self._is_old(name, f"{folder}/{name}"):
                self._remove_file(f"{folder}/{name}")

    def _is_old(self, name: str, path: str) -> bool:
        began = layout.began(name)
        if began is None or began > self._before:
            self._found.kept[path] = "younger than the age" if began else "no attempt of a publisher"
            return False
        return True

    def _is_dead(self, attempt: str, path: str) -> bool:
        if self._found.dry_run:
            return True
        dead = bury(self._catalog, self._place, attempt)
        if not dead:
            self._found.kept[path] = "its publisher is about to name it"
        return dead

    def _remove_file(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        size = self._storage.sizes(folder).get(name, 0)
        if not self._found.dry_run:
            self._storage.remove(path)
        self._count(path, size)

    def _count(self, path: str, size: int) -> None:
        self._found.removed.append(path)
        self._found.bytes += size


class _Features(_Share[SetPlace]):
    """The files of a feature set that were left over, or that an erasure replaced."""

    def collect(self) -> None:
        for attempt, replaced in unneeded_features(self._catalog, self._place):
            path = self._place.file(attempt)
            if replaced or (self._is_old(attempt, path) and self._is_dead(attempt, path)):
                self._remove_file(path)
        self._remove_temporary(self._place.log)


class _Versions(_Share[Place]):
    """The folders of an embedding's attempts that were left over, or whose version was retired."""

    def collect(self) -> None:
        holding = holds(self._catalog, self._place)
        held = {hold.version: f"held by {hold.by} until {hold.until or 'released'}: {hold.reason}" for hold in holding}
        self._retired(held)
        self._left_over(held)
        for folder in self._log_folders():
            self._remove_temporary(folder)

    def _retired(self, held: dict[int | None, str]) -> None:
        for number, tombstone in self._catalog.tombstones(self._place).items():
            folder = self._place.attempt(self._catalog.version(self._place, number).attempt)
            if not self._storage.names(folder):
                continue
            if None in held:
                self._found.kept[folder] = held[None]
            elif dt.datetime.fromisoformat(tombstone.at) > self._before:
                self._found.kept[folder] = f"retired only at {tombstone.at}"
            else:
                self._remove_folder(folder)

    def _left_over(self, held: dict[int | None, str]) -> None:
        for attempt in self._unnamed():
            folder = self._place.attempt(attempt)
            if None in held:
                self._found.kept[folder] = held[None]
            elif self._is_old(attempt, folder) and self._is_dead(attempt, folder):
                self._remove_folder(folder)

    def _unnamed(self) -> list[str]:
        attempts = self._storage.names(f"{self._place}/versions")  # listed before the log is read
        named = {info.attempt for info in self._catalog.versions(self._place)}
        if not self._found.dry_run:
            for attempt in named.intersection(self._storage.names(self._place.claims)):
                self._storage.discard(claims_of(self._place, attempt))  # the log says whose it is
        return [attempt for attempt in attempts if layout.is_attempt(attempt) and attempt not in named]

    def _remove_folder(self, folder: str) -> None:
        size = sum(self._storage.sizes(folder).values())
        if not self._found.dry_run:
            forget_copies(self._storage, folder)
            self._storage.discard(folder)
            if self._storage.names(folder):
                self._found.kept[folder] = "could not be removed"
                return
        self._count(folder, size)

    def _log_folders(self) -> Iterator[str]:
        yield from (self._place.log, self._place.scores, self._place.retention)
        yield from map(self._place.alias, alias_names(self._catalog, self._place))
        yield from (claims_of(self._place, attempt) for attempt in self._storage.names(self._place.claims))
