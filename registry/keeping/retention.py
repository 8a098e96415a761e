"""Which versions are kept: a policy retires the others, a tombstone says when and why.

A retired version can no longer be opened; who has it open may finish, since `gc` takes its files
only after its age, and a file that is mapped outlives its name.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field

from registry.errors import InvalidQuery
from registry.keeping.holds import active
from registry.layout import Place
from registry.logs.aliases import Alias
from registry.logs.catalog import Catalog
from registry.logs.documents import Record, now
from registry.logs.moments import recency
from registry.logs.resolve import alias_names, known_versions
from registry.records import Tombstone, VersionInfo


@dataclass(frozen=True, kw_only=True)
class Keep:
    """What a policy keeps; a version stays if any of these says so, or a pin or a lease holds it.

    Attributes:
        last: so many newest versions, in the order in which `@latest` sees them.
        weeks: of so many newest weeks the version that `@<week>` gives.
        aliased: what an alias names, and what a rollback would return to.

    Raises:
        InvalidQuery: a number is under 1, or neither is given: nothing new would be kept.
    """

    last: int | None = None
    weeks: int | None = None
    aliased: bool = True

    def __post_init__(self) -> None:
        if self.last is None and self.weeks is None:
            raise InvalidQuery("Keep needs last= or weeks=; a policy with neither would retire the newest version")
        for name in ("last", "weeks"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidQuery(f"Keep.{name} is {value!r:.80}; it is a whole number, at least 1, or None")

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in asdict(self).items() if value is not None]
        return f"Keep({', '.join(parts)})"


@dataclass(kw_only=True)
class Retained:
    """What a policy decided.

    Attributes:
        retired: references of the versions that can no longer be opened, or with `dry_run` would be.
        kept: reference -> why it stays.
        dry_run: nothing was touched.
    """

    retired: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False


def retain(catalog: Catalog, place: Place, keep: Keep, *, dry_run: bool = False) -> Retained:
    """Retire every version of an embedding that the policy does not keep.

    Raises:
        UnknownEmbedding: there is no such embedding.
    """
    found = Retained(dry_run=dry_run)
    for info in known_versions(catalog, place):
        if info.number in catalog.tombstones(place):
            continue
        why = _retire(catalog, place, info, keep, dry_run=dry_run)
        if why is None:
            found.retired.append(info.reference)
        else:
            found.kept[info.reference] = why
    return found


def bury_version(catalog: Catalog, place: Place, tombstone: Tombstone) -> None:
    """Write a tombstone whatever holds the version; once for each, of the same kind."""
    wanted = {"version": tombstone.version, "kind": tombstone.kind}
    catalog.log(place.retention).append(
        lambda _: asdict(tombstone), lambda other: all(other.get(name) == wanted[name] for name in wanted)
    )


def _retire(catalog: Catalog, place: Place, info: VersionInfo, keep: Keep, *, dry_run: bool) -> str | None:
    """Retire one version, unless it is needed: then why."""
    log = catalog.log(place.retention)
    while True:
        entries = log.entries()
        why = _needed(catalog, place, keep, entries).get(info.number)
        if why is not None or dry_run:
            return why
        tombstone = Tombstone(version=info.number, kind="retired", reason=str(keep), at=now())
        # Whoever holds a version writes into the same log first: then this number is taken, and we look again.
        if log.put(entries[-1]["number"] + 1 if entries else 1, asdict(tombstone)):
            return None


def _needed(catalog: Catalog, place: Place, keep: Keep, entries: Collection[Record]) -> dict[int, str]:
    """Version number -> why it stays."""
    gone = catalog.tombstones(place)
    live = [info for info in known_versions(catalog, place) if info.number not in gone]
    newest_first = sorted(live, key=recency, reverse=True)
    of_week = list({info.week: info for info in reversed(newest_first)}.values())[::-1]
    needed: dict[int, str] = {}
    for hold in active(entries, place):
        for info in live:
            if hold.version in (None, info.number):
                needed[info.number] = f"held by {hold.by} until {hold.until or 'released'}: {hold.reason}"
    if keep.aliased:
        needed |= _aliased(catalog, place)
    needed |= {info.number: f"one of the newest {keep.weeks} weeks" for info in of_week[: keep.weeks or 0]}
    return needed | {info.number: f"one of the last {keep.last}" for info in newest_first[: keep.last or 0]}


def _aliased(catalog: Catalog, place: Place) -> dict[int, str]:
    named: dict[int, str] = {}
    for alias in alias_names(catalog, place):
        pointer = Alias(catalog, place, alias)
        seen = pointer.history()[-1]
        back = pointer.rollback_target(seen)
        if back is not None:
            named.setdefault(back[0], f"what a rollback of {alias} returns to")
        named[catalog.stand_in(place, seen.version) or seen.version] = f"named by {alias}"
    return named
