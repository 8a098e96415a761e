"""A registry: every embedding under one root, found by reference."""

import datetime as dt
import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from registry import layout
from registry.documents import NumberedLog, dump, read_info, read_score
from registry.errors import Corrupt, InvalidName, InvalidScore, UnknownEmbedding, UnknownVersion
from registry.files import VersionFiles
from registry.layout import Place, Reference
from registry.reader import Version
from registry.records import Draft, Score, Verification, VersionInfo
from registry.storage import LocalStorage, Storage
from registry.writer import publish


def open_registry(root: str | Path) -> "Store":
    """The registry in a local folder; a missing one is empty, and made by the first publish.

    >>> store = open_registry("data/registry")          # doctest: +SKIP
    >>> store["word/word@latest"].neighbors("jax", k=3) # doctest: +SKIP

    Raises:
        InvalidName: the root is a file, or a URL.
    """
    if "://" in str(root):
        raise InvalidName(f"{root!s:.80} is a URL; this release reads and writes local folders")
    return Store(LocalStorage(root))


class Store:
    """All embeddings of one root. Cheap to make, and safe to use from several processes at once.

    `store["entity/name"]` is the newest version: the one of the newest data week and, where a week
    was published more than once, the last of them. A backfill of old weeks therefore does not move
    `@latest`.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._logs: dict[str, NumberedLog] = {}

    @property
    def root(self) -> str:
        """Where the registry lies."""
        return self._storage.root

    def __repr__(self) -> str:
        return f"<Store {self.root}: {len(self)} embeddings>"

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, reference: object) -> bool:
        try:
            self._info(str(reference))
        except (UnknownEmbedding, UnknownVersion):
            return False
        return True

    def __getitem__(self, reference: str) -> Version:
        """Open `entity/name[@latest | @vN | @<week>]`.

        Raises:
            BadReference: the text has another shape.
            UnknownEmbedding: there is no such embedding; the message lists close matches.
            UnknownVersion: it has no such version or week.
            Corrupt: the log entry or the manifest was altered.
        """
        return self._open(self._info(reference))

    def names(self, entity: str | None = None) -> list[str]:
        """Sorted `entity/name` of all embeddings with at least one version.

        Raises:
            InvalidName: `entity` may not be a name.
        """
        entities = self._storage.names("") if entity is None else [layout.check_name("entity", entity)]
        return [str(place) for place in self._places(entities) if self._log(place.log).numbers()]

    def versions(self, name: str) -> list[VersionInfo]:
        """All versions of `entity/name`, in the order of their numbers.

        Raises:
            UnknownEmbedding: there is no such embedding.
            Corrupt: a log entry was altered.
        """
        place = Reference.parse(name).place
        log = self._log(place.log)
        infos = [read_info(record, f"{place.log} {record['number']}") for record in log.entries()]
        if not infos:
            raise UnknownEmbedding(self._no_embedding(place))
        return infos

    def publish(self, draft: Draft) -> Version:
        """Make the draft the next version of its embedding.

        A draft whose `created_by` already published that week returns the version made then,
        whatever its vectors: that is how a retried or a zombie run is kept from publishing twice.
        Leave `created_by` None, or give each run its own, to publish again.

        Raises:
            InvalidName: entity or name may not become a folder.
            InvalidEmbedding: something in the draft is wrong; the message names the key or field.
            OSError: the disk failed or is full.
        """
        place = Place(draft.entity, draft.name)
        entry = publish(draft, self._storage, self._log(place.log))
        return self._open(read_info(entry, f"{place.log} {entry['number']}"))

    def add_score(self, version: Version | VersionInfo, score: Score, *, created_by: str | None = None) -> None:
        """Record one benchmark result beside a version, for good.

        Once per `created_by`, task and metric: a retried step does not count double. With
        `created_by` None every call adds a result; readers see the newest of each task and metric.

        Raises:
            InvalidScore: a number is not finite, or value and `undefined` contradict each other.
        """
        _check_score(score)
        identity = {
            "version": version.number,
            "created_by": created_by,
            "task": score.task,
            "metric": score.metric,
        }
        record = {**identity, "score": score, "created_at": dt.datetime.now(dt.UTC).isoformat()}
        self._log(Place(version.entity, version.name).scores).append(
            lambda _: record,
            lambda other: created_by is not None and all(other[name] == identity[name] for name in identity),
        )

    def verify(self) -> Verification:
        """Read everything: each log entry, each score, each file of each version."""
        total = Verification(versions=0, scores=0, files=0, bytes=0, problems=())
        for place in self._places(self._storage.names("")):
            for part in (*self._verify_versions(place), self._verify_scores(place)):
                total = _sum(total, part)
        return total

    def _open(self, info: VersionInfo) -> Version:
        return Version(info, VersionFiles(self._storage, info), lambda: self._scores(info))

    def _info(self, reference: str) -> VersionInfo:
        wanted = Reference.parse(reference)
        if wanted.number is not None:
            return self._numbered(wanted)
        infos = self.versions(str(wanted.place))
        if wanted.week is not None:
            infos = [info for info in infos if info.week == wanted.week]
            if not infos:
                raise UnknownVersion(self._no_week(wanted))
        return max(infos, key=lambda info: (info.week or "", info.number))

    def _numbered(self, wanted: Reference) -> VersionInfo:
        log = self._log(wanted.place.log)
        number = wanted.number or 0
        try:
            return read_info(log.entry(number), f"{wanted.place.log} {number}")
        except FileNotFoundError:
            numbers = log.numbers()
        if not numbers:
            raise UnknownEmbedding(self._no_embedding(wanted.place))
        raise UnknownVersion(f"{wanted.place} has no v{number}; it has v{numbers[0]} to v{numbers[-1]}")

    def _no_embedding(self, place: Place) -> str:
        known = self.names()
        close = difflib.get_close_matches(str(place), known, n=3, cutoff=0.5)
        if close:
            return f"no embedding {str(place)!r} in {self.root}; did you mean {', '.join(close)}?"
        listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        return f"no embedding {str(place)!r} in {self.root}; known: {listed or 'none yet'}"

    def _no_week(self, wanted: Reference) -> str:
        weeks = sorted({info.week for info in self.versions(str(wanted.place)) if info.week})
        close = difflib.get_close_matches(wanted.week or "", weeks, n=3, cutoff=0.5)
        known = f"it has {len(weeks)} weeks, {weeks[0]} to {weeks[-1]}" if weeks else "none of its versions names one"
        near = f"; near: {', '.join(close)}" if close else ""
        return f"{wanted.place} has no version of week {wanted.week}; {known}{near}"

    def _places(self, entities: Iterable[str]) -> list[Place]:
        return [
            Place(entity, name)
            for entity in filter(layout.is_name, entities)
            for name in filter(layout.is_name, self._storage.names(entity))
        ]

    def _log(self, folder: str) -> NumberedLog:
        return self._logs.setdefault(folder, NumberedLog(self._storage, folder))

    def _scores(self, info: VersionInfo) -> list[Score]:
        folder = Place(info.entity, info.name).scores
        newest: dict[tuple[str, str], Score] = {}
        for record in self._log(folder).entries():
            if record["version"] == info.number:
                score = read_score(record, f"{folder} {record['number']}")
                newest[score.task, score.metric] = score
        return list(newest.values())

    def _verify_versions(self, place: Place) -> Iterator[Verification]:
        log = NumberedLog(self._storage, place.log)  # a fresh one: nothing remembered
        nothing = Verification(versions=0, scores=0, files=0, bytes=0, problems=())
        numbers = log.numbers()
        gaps = sorted(set(range(1, len(numbers) + 1)) - set(numbers))
        if gaps:
            yield replace(nothing, problems=(f"{place.log} lacks the entries {', '.join(map(str, gaps))}",))
        for number in numbers:
            try:
                yield self._open(read_info(log.entry(number), f"{place.log} {number}")).verify()
            except (Corrupt, InvalidName, OSError) as error:
                yield replace(nothing, problems=(str(error),))

    def _verify_scores(self, place: Place) -> Verification:
        log = NumberedLog(self._storage, place.scores)
        problems = []
        numbers = log.numbers()
        for number in numbers:
            try:
                read_score(log.entry(number), f"{place.scores} {number}")
            except (Corrupt, OSError) as error:
                problems.append(str(error))
        read = len(numbers) - len(problems)
        return Verification(versions=0, scores=read, files=0, bytes=0, problems=tuple(problems))


def _sum(a: Verification, b: Verification) -> Verification:
    return Verification(
        versions=a.versions + b.versions,
        scores=a.scores + b.scores,
        files=a.files + b.files,
        bytes=a.bytes + b.bytes,
        problems=a.problems + b.problems,
    )


def _check_score(score: Score) -> None:
    what = f"score {score.task!r:.80} {score.metric!r:.80}"
    if not score.task or not score.metric:
        raise InvalidScore(f"{what} needs a task and a metric")
    for name in ("value", "low", "high", "floor"):
        number = getattr(score, name)
        if number is not None and not math.isfinite(number):
            raise InvalidScore(f"{what} has {name} {number}; give None, and the reason in 'undefined'")
    if (score.value is None) != (score.undefined is not None):
        raise InvalidScore(f"{what} has value {score.value} and undefined {score.undefined!r}; give exactly one")
    try:
        dump(score)
    except (TypeError, ValueError) as error:
        raise InvalidScore(f"{what} cannot be written as JSON: {error}") from error
