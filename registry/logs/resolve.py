"""From a reference to the one version that it names, or to an error that says what there is."""

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NoReturn

from registry import layout
from registry.errors import AliasNotFound, BadReference, Erased, Retired, UnknownEmbedding, UnknownVersion
from registry.layout import Place, Reference, Selector
from registry.logs.catalog import Catalog
from registry.logs.documents import read_promotion
from registry.logs.moments import recency
from registry.records import Tombstone, VersionInfo
from registry.records_promotion import Promotion


def resolve(catalog: Catalog, reference: str) -> VersionInfo:
    """The version that `entity/name[@latest | @vN | @<week> | @<alias> | @<timestamp>]` names now.

    Raises:
        BadReference: the text has another shape.
        UnknownEmbedding: there is no such embedding; the message lists close matches.
        UnknownVersion: it has no such version or week, or had none at that time.
        AliasNotFound: the alias never was set.
        Retired: the version's files were removed by a retention policy.
        Erased: they were removed because they held keys that were erased.
        Corrupt: a log entry was altered.
    """
    wanted = Reference.parse(reference)
    number = wanted.selector.number
    if wanted.selector.alias is not None:
        number = alias_target(catalog, wanted.place, wanted.selector.alias)
    if number is not None:
        return readable(catalog, wanted.place, number)
    return _newest(catalog, wanted.place, wanted.selector)


def readable(catalog: Catalog, place: Place, number: int) -> VersionInfo:
    """Version `number`, whose files must still be there.

    Raises:
        UnknownVersion: there is no such version; or UnknownEmbedding.
        Retired: its files are gone; or Erased.
    """
    try:
        info = catalog.version(place, number)
    except FileNotFoundError:
        _no_number(catalog, place, number)
    gone = catalog.tombstones(place)
    return info if number not in gone else _gone(info, gone)


def alias_target(catalog: Catalog, place: Place, alias: str) -> int:
    """Number of the version that an alias names now.

    Raises:
        AliasNotFound: it never was set; the message lists the aliases there are.
        UnknownEmbedding: there is no such embedding.
        Corrupt: its newest entry was altered.
    """
    log = catalog.log(place.alias(alias))
    numbers = log.numbers()
    if not numbers:
        raise AliasNotFound(no_alias(catalog, place, alias))
    return read_promotion(log.entry(numbers[-1]), f"{place.alias(alias)} {numbers[-1]}").version


def alias_moves(catalog: Catalog, place: Place, alias: str) -> list[Promotion]:
    """Every move of an alias, oldest first.

    Raises:
        AliasNotFound: it never was set; or UnknownEmbedding.
        Corrupt: an entry was altered.
    """
    entries = catalog.log(place.alias(alias)).entries()
    if not entries:
        raise AliasNotFound(no_alias(catalog, place, alias))
    return [read_promotion(record, f"{place.alias(alias)} {record['number']}") for record in entries]


def alias_names(catalog: Catalog, place: Place) -> list[str]:
    """Sorted names of the aliases that were set on an embedding."""
    found = filter(layout.is_alias, catalog.storage.names(place.aliases))
    return [alias for alias in found if catalog.log(place.alias(alias)).numbers()]


def aliases_of(catalog: Catalog, info: VersionInfo) -> list[str]:
    """Sorted names of the aliases that name a version now."""
    place = Place(info.entity, info.name)
    return [alias for alias in alias_names(catalog, place) if alias_target(catalog, place, alias) == info.number]


def known_versions(catalog: Catalog, place: Place) -> list[VersionInfo]:
    """All versions ever published, at least one, by number.

    Raises:
        UnknownEmbedding: there is no such embedding; the message lists close matches.
    """
    infos = catalog.versions(place)
    if not infos:
        raise UnknownEmbedding(no_embedding(catalog, str(place)))
    return infos


def expand(catalog: Catalog, pattern: str) -> list[VersionInfo]:
    """The versions that a reference with `*` and `?` names, by embedding and number.

    `user/*@production` leaves out embeddings that lack the alias, the week or a version of that
    time; `word/word@*` is every version that can still be read.

    Raises:
        BadReference: it is not `entity/name[@version]`, or what follows `@` has another shape.
        UnknownEmbedding: no embedding matches, or none of those has such a version.
    """
    path, _, selector = pattern.partition("@")
    if path.count("/") != 1:
        raise BadReference(f"{pattern!r:.80} is no pattern; write entity/name with * or ?, such as user/*@latest")
    selector = selector or "latest"
    if selector != "*":
        Selector.parse(selector)
    matching = [name for name in catalog.names() if fnmatchcase(name, path)]
    if not matching:
        raise UnknownEmbedding(no_embedding(catalog, path))
    found = [info for name in matching for info in _of(catalog, name, selector)]
    if not found:
        raise UnknownEmbedding(f"none of {', '.join(matching[:10])} has a version @{selector}")
    return found


def no_embedding(catalog: Catalog, wanted: str) -> str:
    """The message for an `entity/name` that is not there."""
    known = catalog.names()
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    if close:
        return f"no embedding {wanted!r:.140} in {catalog.root}; did you mean {', '.join(close)}?"
    return f"no embedding {wanted!r:.140} in {catalog.root}; known: {_listed(known)}"


def _of(catalog: Catalog, name: str, selector: str) -> Sequence[VersionInfo]:
    if selector == "*":
        place = Reference.parse(name).place
        gone = catalog.tombstones(place)
        return [info for info in catalog.versions(place) if info.number not in gone]
    try:
        return [resolve(catalog, f"{name}@{selector}")]
    except (AliasNotFound, UnknownVersion, Erased, Retired):
        return []


def _newest(catalog: Catalog, place: Place, selector: Selector) -> VersionInfo:
    infos = known_versions(catalog, place)
    if selector.moment is not None:
        return _as_of(catalog, place, infos, selector.moment)
    if selector.week is not None:
        infos = [info for info in infos if info.week == selector.week] or _no_week(place, infos, selector.week)
    gone = catalog.tombstones(place)
    live = [info for info in infos if info.number not in gone]
    return max(live, key=recency) if live else _gone(max(infos, key=recency), gone)


def _as_of(catalog: Catalog, place: Place, infos: Sequence[VersionInfo], moment: dt.datetime) -> VersionInfo:
    """What `@latest` gave at a time; a version that has gone since is not replaced by another one."""
    gone = catalog.tombstones(place)
    gone_then = {number for number, tombstone in gone.items() if dt.datetime.fromisoformat(tombstone.at) <= moment}
    there = [info for info in infos if dt.datetime.fromisoformat(info.published_at) <= moment]
    there = [info for info in there if info.number not in gone_then]
    if not there:
        raise UnknownVersion(
            f"{place} had no version at {moment.isoformat()}; its first was published at {infos[0].published_at}"
        )
    found = max(there, key=recency)
    return found if found.number not in gone else _gone(found, gone)


def _gone(info: VersionInfo, tombstones: Mapping[int, Tombstone]) -> NoReturn:
    tombstone = tombstones[info.number]
    then = f"; read {info.entity}/{info.name}@v{tombstone.replaced_by} instead" if tombstone.replaced_by else ""
    message = f"{info.reference} was {tombstone.kind} at {tombstone.at}: {tombstone.reason}{then}"
    raise (Erased if tombstone.kind == "erased" else Retired)(message)


def _no_number(catalog: Catalog, place: Place, number: int) -> NoReturn:
    numbers = catalog.log(place.log).numbers()
    if not numbers:
        raise UnknownEmbedding(no_embedding(catalog, str(place)))
    raise UnknownVersion(f"{place} has no v{number}; it has v{numbers[0]} to v{numbers[-1]}")


def _no_week(place: Place, infos: Iterable[VersionInfo], week: str) -> NoReturn:
    weeks = sorted({info.week for info in infos if info.week})
    close = difflib.get_close_matches(week, weeks, n=3, cutoff=0.5)
    known = f"it has {len(weeks)} weeks, {weeks[0]} to {weeks[-1]}" if weeks else "none of its versions names one"
    near = f"; near: {', '.join(close)}" if close else ""
    raise UnknownVersion(f"{place} has no version of week {week}; {known}{near}")


def no_alias(catalog: Catalog, place: Place, alias: str) -> str:
    """The message for an alias that never was set; raises UnknownEmbedding where there is none to set it on."""
    known_versions(catalog, place)
    known = alias_names(catalog, place)
    close = difflib.get_close_matches(alias, [*known, "latest"], n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(close)}?" if close else f"its aliases: {_listed(known)}"
    return f"{place} has no alias {alias!r}; {hint}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") or "none yet"
