"""Pins and leases: while one holds a version, no policy and no collector takes its files.

A hold is an entry of the embedding's retention log, where the tombstones are, too. So the two have
one order: a version is held first or gone first, never both.
"""

import datetime as dt
import secrets
from collections.abc import Iterable
from dataclasses import asdict, replace
from types import TracebackType

from registry.errors import InvalidQuery
from registry.layout import Place
from registry.logs.catalog import Catalog
from registry.logs.documents import Record, author, now, read_retention
from registry.logs.resolve import readable
from registry.records import Hold, HoldKind


def take(
    catalog: Catalog, place: Place, version: int | None, kind: HoldKind, until: dt.datetime | None, reason: str
) -> Hold:
    """Hold a version of an embedding; None as version holds all of it, also what is being published.

    Args:
        catalog: the registry.
        place: the embedding.
        version: its number, or None.
        kind: `pin` or `lease`.
        until: when it ends by itself, with a zone; None is never.
        reason: in words; recorded.

    Raises:
        InvalidQuery: there is no reason, or `until` has passed or has no zone.
        UnknownVersion: there is no such version; or Retired, or Erased.
    """
    if not reason.strip():
        raise InvalidQuery(f"a {kind} needs a reason, so that others know whom to ask; give reason='...'")
    hold = Hold(
        id=secrets.token_hex(6), kind=kind, entity=place.entity, name=place.name, version=version,
        until=_checked(until), reason=reason, by=author(), at=now(),
    )  # fmt: skip
    return _record(catalog, hold)


def release(catalog: Catalog, hold: Hold) -> None:
    """End a hold now; one that has ended stays so."""
    catalog.log(Place(hold.entity, hold.name).retention).append(
        lambda _: asdict(replace(hold, until=now(), at=now())), lambda _: False
    )


def holds(catalog: Catalog, place: Place) -> list[Hold]:
    """The holds on an embedding and its versions that have not ended, oldest first."""
    return active(catalog.log(place.retention).entries(), place)


def active(entries: Iterable[Record], place: Place) -> list[Hold]:
    """The holds in entries of a retention log that have not ended; the newest entry of each counts."""
    newest: dict[str, Hold] = {}
    for entry in entries:
        record = read_retention(entry, f"{place.retention} {entry['number']}")
        if isinstance(record, Hold):
            newest[record.id] = record
    moment = now()
    return [hold for hold in newest.values() if hold.until is None or hold.until > moment]


class Lease:
    """A hold by somebody who works with a version now; it ends with the `with` block, or by itself when not renewed.

    >>> with store.lease("user/graph@v12", seconds=3600, reason="export") as lease:   # doctest: +SKIP
    ...     lease.renew()
    """

    def __init__(self, catalog: Catalog, place: Place, version: int | None, seconds: float, reason: str) -> None:
        self._catalog = catalog
        self._seconds = seconds
        self.hold = take(catalog, place, version, "lease", _after(seconds), reason)

    def renew(self, seconds: float | None = None) -> None:
        """Let it last so many seconds from now; None is as long as it was asked for.

        Raises:
            Retired: it had ended, and its version went meanwhile; or Erased.
        """
        until = _checked(_after(self._seconds if seconds is None else seconds))
        self.hold = _record(self._catalog, replace(self.hold, until=until, at=now()))

    def release(self) -> None:
        """End it now."""
        release(self._catalog, self.hold)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _record(catalog: Catalog, hold: Hold) -> Hold:
    place = Place(hold.entity, hold.name)

    def build(_: list[Record]) -> Record:
        # Asked in here: a tombstone that comes after this look takes the number, and `append` asks again.
        if hold.version is not None:
            readable(catalog, place, hold.version)
        return asdict(hold)

    catalog.log(place.retention).append(build, lambda _: False)
    return hold


def _after(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


def _checked(until: dt.datetime | None) -> str | None:
    """As it is stored, so that two moments compare as text."""
    if until is None:
        return None
    if until.tzinfo is None or until <= dt.datetime.now(dt.UTC):
        raise InvalidQuery(f"until is {until.isoformat()}; give a moment that is to come, with its zone")
    return until.astimezone(dt.UTC).isoformat(timespec="microseconds")
