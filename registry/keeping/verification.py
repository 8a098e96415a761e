"""The walk over everything under a root: each log entry, each score, each file of each version."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from registry.errors import Corrupt, InvalidName
from registry.features.sets import SetPlace, read_feature_set, set_places, standing
from registry.layout import Place
from registry.logs.catalog import Catalog
from registry.logs.documents import NumberedLog, Record, read_info, read_promotion, read_retention, read_score
from registry.logs.resolve import alias_names
from registry.reader import Version
from registry.records import Tombstone, Verification, VersionInfo
from registry.tables.files import check_digest

T = TypeVar("T")
Opener = Callable[[VersionInfo], Version]

NOTHING = Verification(versions=0, scores=0, files=0, bytes=0, problems=())


def verify(catalog: Catalog, open_version: Opener) -> Verification:
    """Read everything below the root again, and report what is damaged instead of stopping there."""
    fresh = Catalog(catalog.storage)  # nothing remembered
    embeddings = (part for place in fresh.places() for part in _parts(fresh, place, open_version))
    return total(chain(embeddings, (_features(fresh, place) for place in set_places(fresh))))


def total(parts: Iterable[Verification]) -> Verification:
    """Several findings as one."""
    found = [NOTHING, *parts]
    return Verification(
        versions=sum(part.versions for part in found),
        scores=sum(part.scores for part in found),
        files=sum(part.files for part in found),
        bytes=sum(part.bytes for part in found),
        problems=tuple(problem for part in found for problem in part.problems),
    )


def check_log(log: NumberedLog, folder: str, read: Callable[[Record, str], T]) -> tuple[list[T], list[str]]:
    """The records of a log that are whole, and a line for each gap and each damaged entry.

    Args:
        log: a log that has not been read yet.
        folder: its folder, for messages.
        read: makes a record of an entry; raises Corrupt.
    """
    numbers = log.numbers()
    whole, problems = [], []
    redacted: set[int] = set()  # what an erasure took out, and says so
    for number in numbers:
        try:
            record = log.entry(number)
            redacted.update(record.get("redacted", ()))
            if "redacted" not in record:
                whole.append(read(record, f"{folder} {number}"))
        except (Corrupt, OSError) as error:
            problems.append(str(error))
    gaps = sorted(set(range(1, max(numbers, default=0))) - set(numbers) - redacted)
    return whole, [f"{folder} lacks the entries {', '.join(map(str, gaps))}"] * bool(gaps) + problems


def _parts(catalog: Catalog, place: Place, open_version: Opener) -> Iterator[Verification]:
    infos, problems = check_log(catalog.log(place.log), place.log, read_info)
    yield _found(problems)
    kept, problems = check_log(catalog.log(place.retention), place.retention, read_retention)
    yield _found(problems)
    gone = {entry.version for entry in kept if isinstance(entry, Tombstone)}
    for info in infos:
        if info.number not in gone:
            yield _version(info, open_version)
    scores, problems = check_log(catalog.log(place.scores), place.scores, read_score)
    yield _found(problems, scores=len(scores))
    for alias in alias_names(catalog, place):
        yield _alias(catalog, place, alias)


def _alias(catalog: Catalog, place: Place, alias: str) -> Verification:
    folder = place.alias(alias)
    moves, problems = check_log(catalog.log(folder), folder, read_promotion)
    known = set(catalog.log(place.log).numbers())
    strange = [
        f"{folder} {move.number} names v{move.version}, of which no log entry is left"
        for move in moves
        if move.version not in known
    ]
    return _found(problems + strange)


def _features(catalog: Catalog, place: SetPlace) -> Verification:
    published, problems = check_log(catalog.log(place.log), place.log, read_feature_set)
    counting = standing(published)
    for one in counting:
        try:
            check_digest(catalog.storage, place.file(one.attempt), one.file)
        except (Corrupt, OSError) as error:
            problems.append(str(error))
    size = sum(one.file.bytes for one in counting)
    return Verification(versions=0, scores=0, files=len(counting), bytes=size, problems=tuple(problems))


def _version(info: VersionInfo, open_version: Opener) -> Verification:
    try:
        return open_version(info).verify()
    except (Corrupt, InvalidName, OSError) as error:
        return _found([str(error)])


def _found(problems: Iterable[str], *, scores: int = 0) -> Verification:
    return Verification(versions=0, scores=scores, files=0, bytes=0, problems=tuple(problems))
