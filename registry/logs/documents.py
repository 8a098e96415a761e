"""Records to bytes and back: canonical JSON, a sealed form of it, and numbered logs of that."""

import dataclasses
import datetime as dt
import getpass
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, get_args

import numpy as np

from registry.errors import Corrupt
from registry.layout import number_of, numbered
from registry.records import (
    FileDigest,
    GraphInfo,
    Hold,
    HoldKind,
    IndexInfo,
    Manifest,
    Score,
    Tombstone,
    Upstream,
    VersionInfo,
)
from registry.records_promotion import GateResult, Promotion
from registry.storage.protocol import Storage

Record = dict[str, Any]


def dump(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no NaN; takes numpy values, tuples and dataclasses too.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, default=_plain)
    return text.encode()


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} {value!r:.60} has no JSON form")


def load(data: bytes, source: str) -> Record:
    """The JSON object in `data`; `source` names the file in the message.

    Raises:
        Corrupt: it is not a JSON object.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{source} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Corrupt(f"{source} holds {type(value).__name__}, not an object")
    return value


def seal(record: Mapping[str, Any]) -> bytes:
    """One JSON object that carries the checksum of its own content."""
    body = dump(json.loads(dump(record)))  # twice: numeric keys sort otherwise once they are text
    return b'{"record": %b, "sha256": "%b"}\n' % (body, hashlib.sha256(body).hexdigest().encode())


def unseal(data: bytes, source: str) -> Record:
    """The record that was sealed.

    Raises:
        Corrupt: any byte differs from what `seal` wrote.
    """
    record = load(data, source).get("record")
    try:
        whole = isinstance(record, dict) and seal(record) == data
    except ValueError:  # a NaN or half a character: `seal` writes neither
        whole = False
    if not isinstance(record, dict) or not whole:
        raise Corrupt(f"{source} differs from what was written: its checksum does not match")
    return record


class NumberedLog:
    """An append-only list of sealed records, one file each; entry N + 1 is won by put-if-absent.

    Entries never change, so each is read once per object.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder
        self._known: dict[int, Record] = {}

    def numbers(self) -> list[int]:
        """Numbers of all entries, rising."""
        found = (number_of(name) for name in self._storage.names(self._folder))
        return [number for number in found if number is not None]

    def entry(self, number: int) -> Record:
        """One record.

        Raises:
            FileNotFoundError: there is no such entry.
            Corrupt: its bytes were changed, or it belongs elsewhere.
        """
        if number not in self._known:
            path = f"{self._folder}/{numbered(number)}"
            record = unseal(self._storage.read(path), path)
            if record.get("folder") != self._folder or record.get("number") != number:
                raise Corrupt(f"{path} was written as entry {record.get('number')} of {record.get('folder')}")
            self._known[number] = record
        return self._known[number]

    def entries(self) -> list[Record]:
        """All records, oldest first; one that is removed while we read is left out."""
        found: list[Record] = []
        for number in self.numbers():
            with suppress(FileNotFoundError):  # an erasure removes scores
                found.append(self.entry(number))
        return found

    def find(self, same: Callable[[Record], bool]) -> Record | None:
        """The oldest record that is the `same`."""
        return next(filter(same, self.entries()), None)

    def append(self, build: Callable[[list[Record]], Record], same: Callable[[Record], bool]) -> Record:
        """Add what `build` makes of the entries so far, unless one is the `same`; returns it.

        Racing writers each get a number of their own; a retry beside its zombie gets the zombie's
        entry.
        """
        while True:
            entries = self.entries()
            earlier = next(filter(same, entries), None)
            if earlier is not None:
                return earlier
            number = (entries[-1]["number"] if entries else 0) + 1
            if self.put(number, build(entries)):
                return self.entry(number)

    def put(self, number: int, record: Mapping[str, Any]) -> bool:
        """Make `record` entry `number` unless there is one; whether this call did: a compare-and-swap."""
        sealed = seal({**record, "folder": self._folder, "number": number})
        return self._storage.put_if_absent(f"{self._folder}/{numbered(number)}", sealed)


def is_retry(created_by: str | None, week: str | None, entry: Record) -> bool:
    """Whether the publisher of `entry` is this one again, for the same week; who has no name never is."""
    return created_by is not None and (entry["created_by"], entry["week"]) == (created_by, week)


def now() -> str:
    """The moment as records hold it: UTC, ISO 8601 with microseconds, so that two compare as text."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def author() -> str:
    """Who writes a record: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


def moment_after(entries: list[Record]) -> str:
    """Now, but never before the last entry: a clock set back must not reorder what was published."""
    return max([now(), *(entry["published_at"] for entry in entries[-1:])])


def read_record(cls: type, record: Record, source: str) -> Any:
    """Build a record dataclass from its JSON object, ignoring fields of later schemas.

    Raises:
        Corrupt: a field is missing or of a wrong shape.
    """
    names = {field.name for field in dataclasses.fields(cls)}
    try:
        return cls(**{name: _READ.get(name, _same)(value) for name, value in record.items() if name in names})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Corrupt(f"{source} is no {cls.__name__}: {error}") from error


def read_manifest(data: bytes, source: str) -> Manifest:
    """Parse `MANIFEST.json`; raises Corrupt."""
    return read_record(Manifest, load(data, source), source)


def read_info(record: Record, source: str) -> VersionInfo:
    """Parse an entry of a version log; raises Corrupt."""
    return read_record(VersionInfo, record, source)


def read_score(record: Record, source: str) -> Score:
    """Parse the score inside an entry of a score log; raises Corrupt."""
    return read_record(Score, record["score"], source)


def read_retention(record: Record, source: str) -> Tombstone | Hold:
    """Parse an entry of a retention log; raises Corrupt."""
    return read_record(Hold if record.get("kind") in get_args(HoldKind) else Tombstone, record, source)


def read_promotion(record: Record, source: str) -> Promotion:
    """Parse an entry of an alias's log; raises Corrupt."""
    return read_record(Promotion, record, source)


def read_lineage(data: bytes, source: str) -> Upstream | None:
    """Parse `lineage.json`; None where the publisher recorded none; raises Corrupt."""
    record = load(data, source).get("lineage")
    return None if record is None else read_record(Upstream, record, source)


def _same(value: Any) -> Any:
    return value


def _upstreams(values: list[Record]) -> tuple[Upstream, ...]:
    return tuple(read_record(Upstream, value, "lineage") for value in values)


def _index(value: Record) -> IndexInfo:
    return IndexInfo(**{**value, "calibration": _pairs(value)})


def _pairs(value: Record) -> tuple[tuple[int, float], ...]:
    return tuple((int(effort), float(recall)) for effort, recall in value["calibration"])


_READ: dict[str, Callable[[Any], Any]] = {
    "upstream": _upstreams,
    "index": _index,
    "graph": lambda value: None if value is None else GraphInfo(**{**value, "calibration": _pairs(value)}),
    "attributes": tuple,
    "columns": dict,  # pairs in the file: canonical JSON would sort the names of an object
    "gates": lambda values: tuple(GateResult(**value) for value in values),
    "files": lambda value: {name: FileDigest(**digest) for name, digest in value.items()},
    "manifest": lambda value: FileDigest(**value),
    "file": lambda value: FileDigest(**value),
    "lineage": lambda value: None if value is None else read_record(Upstream, value, "lineage"),
}
