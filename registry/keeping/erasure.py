"""Erase keys: every version that holds them is replaced by one without, and its files go.

For each version, in this order: the replacement is published, with the scores; a tombstone says what
replaced it; aliases move on; the files go. A crash between two steps leaves the rest to the next
call of `erase` with the same keys, which finds what is left by looking, not by a record of its own.

What is written about it names no key. Recorded scores that mention one go, and what a replacement
says of its training is cut. Other log entries never change: where the reason of a promotion or a pin
names a key, the report lists the entry.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from registry import layout
from registry.errors import InvalidQuery
from registry.features.sets import set_places
from registry.keeping.erasure_features import erase_features
from registry.keeping.erasure_words import cut_lineage, cut_words, mentioning_entries
from registry.keeping.garbage import bury, bury_all, forget_copies
from registry.keeping.retention import bury_version
from registry.layout import Place
from registry.logs.aliases import Alias
from registry.logs.catalog import Catalog
from registry.logs.documents import Record, dump, now
from registry.logs.resolve import alias_names
from registry.logs.scores import record_score, redact_scores
from registry.publishing.cut import Unwanted, keep_rows
from registry.publishing.writer import publish
from registry.reader import Version
from registry.records import Draft, Score, Tombstone, Upstream, VersionInfo
from registry.tables.keys import as_keys

OpenVersion = Callable[[VersionInfo], Version]


@dataclass(kw_only=True)
class ErasureReport:
    """What an erasure did; it names no key.

    Attributes:
        replaced: reference of each version that held a key -> that of its replacement, None where no key was left.
        removed: folders and files that went: of those versions, of feature sets, of what was retired before,
            and of left-over attempts.
        scores: how many recorded scores mentioned a key, and went.
        aliases: alias -> the reference that it names now, where it had to move.
        not_found: how many of the keys stood in no version that could be read and in no feature set.
        mentions: log entries, which never change, and versions that still mention a key in words.
        in_flight: attempts that others were about to publish all the while: erase again.
    """

    replaced: dict[str, str | None] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    scores: int = 0
    aliases: dict[str, str] = field(default_factory=dict)
    not_found: int = 0
    mentions: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Erasure:
    """What has to go.

    Attributes:
        unwanted: the keys, and the columns in which they stand as values.
        reason: recorded with each tombstone; names no key.
    """

    unwanted: Unwanted
    reason: str

    @classmethod
    def of(cls, entity: str, keys: Any, reason: str, columns: Sequence[str] | None) -> "Erasure":
        """Check a request; `columns` None means `<entity>`, `<entity>s`, `<entity>_id` and `<entity>_ids`.

        Raises:
            InvalidName: `entity` may not be a name.
            InvalidQuery: there are no keys, one is empty, or the reason is missing or names one.
        """
        layout.check_name("entity", entity)
        wanted = as_keys(keys).unique()
        if not len(wanted) or "" in wanted.to_pylist():
            raise InvalidQuery("erase needs keys that are not empty; give a list of them")
        named = frozenset(columns or (entity + end for end in ("", "s", "_id", "_ids")))
        asked = cls(Unwanted(entity, wanted, named), reason)
        if not reason.strip() or asked.mentions(reason):
            raise InvalidQuery("erase needs a reason that names no key: it is kept for good, beside the versions")
        return asked

    def mentions(self, value: Any) -> bool:
        """Whether a key stands as a word in any text of a JSON-able value, names of fields included."""
        text = dump(value).decode()
        # `in` first: there may be many keys, and a pattern for each takes long.
        return any(key in text and re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text) for key in self._written)

    @cached_property
    def _written(self) -> tuple[str, ...]:
        return tuple(dump(key).decode()[1:-1] for key in self.unwanted.keys.to_pylist())  # as JSON escapes it


def erase(catalog: Catalog, asked: Erasure, open_version: OpenVersion) -> ErasureReport:
    """Do it; see `Store.erase`."""
    done = ErasureReport()
    for place in catalog.places():
        _Eraser(catalog, place, asked, open_version, done).erase()
    for features in set_places(catalog):
        removed, in_flight = erase_features(catalog, features, asked.unwanted)
        done.removed += removed
        done.in_flight += in_flight
    done.mentions += mentioning_entries(catalog, asked.mentions)
    done.not_found = len(asked.unwanted.keys) - len(asked.unwanted.seen)
    return done


class _Eraser:
    """One embedding's share of an erasure."""

    def __init__(
        self, catalog: Catalog, place: Place, asked: Erasure, open_version: OpenVersion, done: ErasureReport
    ) -> None:
        self._catalog = catalog
        self._storage = catalog.storage
        self._place = place
        self._asked = asked
        self._open = open_version
        self._done = done

    def erase(self) -> None:
        waiting = bury_all(self._catalog, self._place, self._unnamed)
        while held := [info for info in self._live() if self._holds(self._open(info))]:
            for info in held:  # again afterwards: others may have published meanwhile
                self._replace(info)
        self._move_aliases()
        self._remove_files()
        self._redact()
        self._done.in_flight += [path for path in map(self._place.attempt, waiting) if path not in self._done.removed]
        self._done.mentions += [info.reference for info in self._live() if self._tells(self._open(info))]

    def _unnamed(self) -> list[str]:
        listed = self._storage.names(f"{self._place}/versions")  # before the log is read
        named = {info.attempt for info in self._catalog.versions(self._place)}
        return [attempt for attempt in listed if layout.is_attempt(attempt) and attempt not in named]

    def _tells(self, version: Version) -> bool:
        manifest = version.manifest
        return self._asked.mentions([manifest.trainer, manifest.training, version.lineage()])

    def _live(self) -> list[VersionInfo]:
        gone = self._catalog.tombstones(self._place)
        return [info for info in self._catalog.versions(self._place) if info.number not in gone]

    def _holds(self, version: Version) -> bool:
        if self._asked.unwanted.rows(version.entity, version.keys()).any():
            return True
        if not self._asked.unwanted.columns & set(version.manifest.attributes):
            return False
        attributes = version.attributes()
        return self._asked.unwanted.without(attributes) is not attributes

    def _replace(self, info: VersionInfo) -> None:
        version = self._open(info)
        kept = ~self._asked.unwanted.rows(version.entity, version.keys())
        number = None
        if kept.any():
            draft = self._cut(version, kept)
            log, root = self._catalog.log(self._place.log), info.replaces or info.number
            number = publish(draft, self._storage, log, replaces=root)["number"]
            new = self._catalog.version(self._place, number)
            for score in self._catalog.scores(info):
                record_score(self._catalog, new, self._carried(score, info), draft.created_by)
        tombstone = Tombstone(
            version=info.number, kind="erased", reason=self._asked.reason, at=now(), replaced_by=number
        )
        bury_version(self._catalog, self._place, tombstone)
        self._done.replaced[info.reference] = f"{self._place}@v{number}" if number else None

    def _cut(self, version: Version, kept: np.ndarray) -> Draft:
        draft, mentions = keep_rows(_draft_of(version), kept), self._asked.mentions
        attributes = None if draft.attributes is None else self._asked.unwanted.without(draft.attributes)
        erased = int(version.manifest.training.get("erased_keys", 0)) + int((~kept).sum())
        return replace(
            draft,
            attributes=attributes,
            trainer=cut_words(draft.trainer, mentions),
            training={**cut_words(draft.training, mentions), "erased_keys": erased},
            lineage=cut_lineage(draft.lineage, mentions),
        )

    def _carried(self, score: Score, info: VersionInfo) -> Score:
        """The score of the version before; the numbers hold as well as they did for all but the erased keys."""
        details = {} if self._asked.mentions(score.details) else dict(score.details)
        undefined = score.undefined
        if undefined is not None and self._asked.mentions(undefined):
            undefined = "the reason named a key that was erased"
        return replace(score, undefined=undefined, details={"measured_on": info.reference} | details)

    def _move_aliases(self) -> None:
        for alias in alias_names(self._catalog, self._place):
            moved = Alias(self._catalog, self._place, alias).leave_replaced(self._asked.reason)
            if moved is not None:
                self._done.aliases[alias] = moved.reference

    def _remove_files(self) -> None:
        """Of versions that are gone, whether erased or retired, and of attempts that were left over."""
        gone = self._catalog.tombstones(self._place)
        listed = self._storage.names(f"{self._place}/versions")
        numbers = {info.attempt: info.number for info in self._catalog.versions(self._place)}
        for attempt in filter(layout.is_attempt, listed):
            dead = numbers[attempt] in gone if attempt in numbers else bury(self._catalog, self._place, attempt)
            if dead:
                self._forget(attempt)

    def _forget(self, attempt: str) -> None:
        folder = self._place.attempt(attempt)
        forget_copies(self._storage, folder)
        for name in self._storage.names(folder):
            self._storage.remove(f"{folder}/{name}")
        self._storage.discard(folder)
        self._done.removed.append(folder)

    def _redact(self) -> None:
        def mentions(record: Record) -> bool:
            score = record["score"]
            return self._asked.mentions([score["details"], score["undefined"]])

        self._done.scores += redact_scores(self._catalog, self._place, mentions, self._asked.reason)


def _draft_of(version: Version) -> Draft:
    """What was published, to be published again; a retry of the same finds the version made before."""
    manifest = version.manifest
    before = version.lineage()
    return Draft(
        entity=version.entity,
        name=version.name,
        keys=version.keys(),
        vectors=version.numpy(),
        metric=version.metric,
        week=version.week,
        window_weeks=manifest.window_weeks,
        space=version.space,  # the same coordinates: what could be compared with it still can
        trainer=manifest.trainer,
        training=manifest.training,
        attributes=version.attributes().drop_columns(["key"]) if manifest.attributes else None,
        extra=version.extras(),
        graph=manifest.graph is not None,
        composer=version.composer().spec,
        lineage=Upstream(
            asset=f"{version.entity}/{version.name}",
            partition=version.reference,
            data_version=version.info.manifest.sha256,
            upstream=() if before is None else (before,),
        ),
        created_by=f"erasure from {version.reference}",
    )
