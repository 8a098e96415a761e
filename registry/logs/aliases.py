"""Aliases such as `production`: names that move from version to version by compare-and-swap.

Each move is an entry of the alias's own numbered log, so the newest entry says where it points, and
the others are its history. Who loses a race is told what the alias names now.
"""

import re
from typing import Any, Literal

from registry.errors import AliasNotFound, BadReference, Conflict
from registry.layout import Place
from registry.logs.catalog import Catalog
from registry.logs.documents import author, moment_after, read_promotion
from registry.logs.resolve import no_alias
from registry.records_promotion import Promotion


class Alias:
    """One alias of one embedding.

    Raises:
        InvalidName: `name` may not be an alias.
    """

    def __init__(self, catalog: Catalog, place: Place, name: str) -> None:
        self._catalog = catalog
        self._place = place
        self._name = name
        self._folder = place.alias(name)
        self._log = catalog.log(self._folder)

    def __str__(self) -> str:
        return f"{self._place}@{self._name}"

    def history(self) -> list[Promotion]:
        """Every move, oldest first.

        Raises:
            AliasNotFound: it never was set; or UnknownEmbedding.
            Corrupt: an entry was altered.
        """
        moves = [self._move(number) for number in self._log.numbers()]
        if not moves:
            raise AliasNotFound(no_alias(self._catalog, self._place, self._name))
        return moves

    def current(self) -> Promotion | None:
        """The newest move; None where the alias never was set; raises Corrupt."""
        numbers = self._log.numbers()
        return self._move(numbers[-1]) if numbers else None

    def check(self, seen: Promotion | None, expect: str | None) -> None:
        """Compare what the alias names with what the caller believes.

        Args:
            seen: the newest move.
            expect: `v11`; None for an alias that is not set; `any`.

        Raises:
            Conflict: it names another version.
            BadReference: `expect` has none of these shapes.
        """
        if expect is not None and expect != "any" and not re.fullmatch("v[1-9][0-9]{0,7}", expect):
            raise BadReference(f"expect is {expect!r:.80}; write 'v11', None for an alias not set yet, or 'any'")
        now = f"v{seen.version}" if seen else None
        if expect not in ("any", now):
            believed = f"at {expect}" if expect else "not set yet"
            raise Conflict(f"{self} was expected {believed}, but {_state(seen)}; look again and decide anew")

    def move(
        self,
        seen: Promotion | None,
        version: int,
        action: Literal["promote", "rollback", "replace"],
        undo_to: int | None,
        **facts: Any,
    ) -> Promotion:
        """Name another version, provided that nobody moved the alias since it was `seen`.

        Raises:
            Conflict: somebody did; the message says what it names now.
            OSError: the disk failed; read the alias to learn whether it moved.
        """
        number = seen.number + 1 if seen else 1
        record = {
            "entity": self._place.entity,
            "name": self._place.name,
            "alias": self._name,
            "action": action,
            "version": version,
            "previous": seen.version if seen else None,
            "undo_to": undo_to,
            **facts,
            "promoted_by": author(),
            "promoted_at": moment_after([{"published_at": seen.promoted_at}] if seen else []),
        }
        if not self._log.put(number, record):
            raise Conflict(f"{self} was moved by another writer: {_state(self.current())}; look again and decide anew")
        return self._move(number)

    def rollback_target(self, seen: Promotion) -> tuple[int, int | None] | None:
        """The version to which a rollback returns, and the `undo_to` of that move; None where there is none.

        Versions whose files are gone are passed over, or stand-ins taken where they were replaced.
        """
        here = {None, seen.version, self._catalog.stand_in(self._place, seen.version)}
        at = seen.undo_to
        while at is not None:
            earlier = self._move(at)
            target = self._catalog.stand_in(self._place, earlier.version)
            if target is not None and target not in here:
                return target, earlier.undo_to
            at = earlier.undo_to
        return None

    def leave_replaced(self, reason: str) -> Promotion | None:
        """Where it names a version that was replaced, name its replacement; the move, or None."""
        while (seen := self.current()) is not None:
            target = self._catalog.stand_in(self._place, seen.version)
            if target in (None, seen.version):
                break
            try:
                return self.move(seen, target, "replace", seen.undo_to, reason=reason)
            except Conflict:
                continue  # moved meanwhile: look where it points now
        return None

    def _move(self, number: int) -> Promotion:
        return read_promotion(self._log.entry(number), f"{self._folder} {number}")


def _state(seen: Promotion | None) -> str:
    if seen is None:
        return "it is not set"
    return f"it is at v{seen.version} since {seen.promoted_at}, by {seen.promoted_by}"
