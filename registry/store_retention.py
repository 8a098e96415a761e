"""The keeping half of a store: pins, leases, retention, garbage, erasure."""

import datetime as dt
from collections.abc import Sequence

from registry.keeping.erasure import Erasure, ErasureReport, erase
from registry.keeping.garbage import Collected, collect
from registry.keeping.holds import Lease, holds, release, take
from registry.keeping.retention import Keep, Retained, retain
from registry.layout import Place, Reference
from registry.logs.resolve import known_versions, resolve
from registry.reader import Keys
from registry.records import Hold
from registry.store_reading import Reading


class Retaining(Reading):
    """Decides how long versions stay, and removes what must go."""

    def pin(self, reference: str, *, reason: str, until: dt.datetime | None = None) -> Hold:
        """Keep the files of the version that `reference` names now, whatever a policy says.

        Args:
            reference: such as `user/graph@2026-11-01T00:00Z`, a point in time that an experiment needs.
            reason: recorded.
            until: when the pin ends by itself, with a zone; None is when it is released.

        Raises:
            NotFound: there is no such version, or it is gone.
            InvalidQuery: no reason, or `until` has passed.
        """
        info = resolve(self._catalog, reference)
        return take(self._catalog, Place(info.entity, info.name), info.number, "pin", until, reason)

    def lease(self, reference: str, *, seconds: float, reason: str, first: bool = False) -> Lease:
        """Keep files while somebody works: of one version, or, of a plain `entity/name`, all of the embedding.

        The lease of an embedding also keeps what is being published, however long that takes; with
        `first=True` also where nothing was published yet.

        >>> with store.lease("user/graph@production", seconds=3600, reason="export") as lease:  # doctest: +SKIP
        ...     lease.renew()

        Raises:
            NotFound: there is no such version, or it is gone.
            InvalidQuery: no reason, or no time.
        """
        info = resolve(self._catalog, reference) if "@" in reference else None
        place = Reference.parse(reference).place
        if not first:
            known_versions(self._catalog, place)  # a misspelt name would protect nothing
        return Lease(self._catalog, place, info.number if info else None, seconds, reason)

    def holds(self, name: str) -> list[Hold]:
        """The pins and leases of `entity/name` that have not ended.

        Raises:
            UnknownEmbedding: there is no such embedding, and never was a hold on one.
        """
        place = Reference.parse(name).place
        if not self._catalog.log(place.retention).numbers():
            known_versions(self._catalog, place)
        return holds(self._catalog, place)

    def release(self, hold: Hold) -> None:
        """End a pin or a lease."""
        release(self._catalog, hold)

    def retain(self, name: str, keep: Keep, *, dry_run: bool = False) -> Retained:
        """Retire the versions of `entity/name` that a policy does not keep; `gc` takes their files later.

        >>> store.retain("word/word", Keep(last=3, weeks=8), dry_run=True).retired    # doctest: +SKIP
        ['word/word@v1']

        Raises:
            UnknownEmbedding: there is no such embedding.
        """
        return retain(self._catalog, Reference.parse(name).place, keep, dry_run=dry_run)

    def gc(self, older_than: dt.timedelta = dt.timedelta(days=1), *, dry_run: bool = False) -> Collected:
        """Remove attempts that were left over, and the files of versions retired, if older than an age.

        What a log names, a pin or a lease holds, or a publisher is about to name, stays.

        Raises:
            InvalidQuery: `older_than` is negative.
        """
        return collect(self._catalog, older_than, dry_run=dry_run)

    def erase(self, entity: str, keys: Keys, *, reason: str, columns: Sequence[str] | None = None) -> ErasureReport:
        """Replace every version that holds some keys by one without, and remove the files of the old ones.

        Replacements have the same week, space and scores (marked `measured_on`); aliases move to them.
        Pins and leases do not protect from it; whoever is publishing meanwhile is told to publish again,
        and the files of retired versions go at once. Repeat it after a crash: what was done stays done.

        Args:
            entity: entity type of the keys.
            keys: what has to go.
            reason: recorded; it must name no key.
            columns: attribute columns of any embedding where such keys stand as values, as text or as
                integers, also in lists and structs; they become null. None is `<entity>`, `<entity>s`,
                `<entity>_id` and `<entity>_ids`.

        Raises:
            InvalidQuery: no keys, an empty one, no reason, or one that names a key; or a key stands in a
                part of a struct that may not be null.
            InvalidName: `entity` may not be a name.
        """
        return erase(self._catalog, Erasure.of(entity, keys, reason, columns), self._open)
