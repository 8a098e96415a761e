"""Promote a version to an alias: the gates judge, then the alias moves or nothing changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from registry.errors import GateFailed, InvalidPromotion, NotFound, UnknownVersion
from registry.gates import Gate, judge
from registry.keeping.holds import Lease
from registry.layout import Place
from registry.logs.aliases import Alias
from registry.logs.catalog import Catalog
from registry.logs.resolve import readable
from registry.reader import Version
from registry.records import VersionInfo
from registry.records_promotion import GateResult, Promotion

_MOVE_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On which terms an alias may move; see `Store.promote`.

    Raises:
        InvalidPromotion: it is forced, and no reason is given.
    """

    gates: Sequence[Gate] = ()
    expect: str | None = "any"
    reason: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.force and not (self.reason and self.reason.strip()):
            raise InvalidPromotion("a forced promotion needs a reason, which is recorded; give reason='...'")


def promote(
    catalog: Catalog, candidate: Version, alias: str, terms: Terms, open_version: Callable[[VersionInfo], Version]
) -> Promotion:
    """Let the gates judge the candidate, and move the alias; see `Store.promote` for what it raises."""
    place = Place(candidate.entity, candidate.name)
    if readable(catalog, place, candidate.number).attempt != candidate.info.attempt:
        raise InvalidPromotion(f"{candidate!r} is of another registry than {catalog.root}; open it there and try again")
    pointer = Alias(catalog, place, alias)
    seen = pointer.current()
    pointer.check(seen, terms.expect)
    if seen is not None and seen.version == candidate.number:
        return seen
    current = _current(catalog, place, seen, terms) if terms.gates else None
    results = judge(terms.gates, candidate, open_version(current) if current else None)
    refused = [result for result in results if not result.passed]
    if refused and not terms.force:
        raise GateFailed(_refusal(candidate, pointer, results), results)
    undo_to = seen.number if seen else None
    facts = {"gates": results, "forced": bool(refused), "reason": terms.reason}
    # Held, so that no policy retires it between a look at its tombstones and the move.
    with Lease(catalog, place, candidate.number, _MOVE_SECONDS, f"is being promoted to {alias}"):
        return _standing(catalog, place, pointer, pointer.move(seen, candidate.number, "promote", undo_to, **facts))


def rollback(catalog: Catalog, place: Place, alias: str, *, expect: str | None, reason: str | None) -> Promotion:
    """Move an alias back to where it pointed before; see `Store.rollback`."""
    pointer = Alias(catalog, place, alias)
    seen = pointer.history()[-1]
    pointer.check(seen, expect)
    target = pointer.rollback_target(seen)
    if target is None:
        raise UnknownVersion(f"{pointer} is at v{seen.version}, and there is no earlier version to go back to")
    version, undo_to = target
    with Lease(catalog, place, version, _MOVE_SECONDS, f"{alias} is being rolled back to it"):
        return _standing(catalog, place, pointer, pointer.move(seen, version, "rollback", undo_to, reason=reason))


def _standing(catalog: Catalog, place: Place, pointer: Alias, moved: Promotion) -> Promotion:
    """The move, or one more to what replaced the version meanwhile: an erasure does not wait for leases.

    Raises:
        Erased: the version is gone for good.
    """
    left = pointer.leave_replaced(f"v{moved.version} was erased while {pointer} moved to it")
    readable(catalog, place, (left or moved).version)
    return left or moved


def _current(catalog: Catalog, place: Place, seen: Promotion | None, terms: Terms) -> VersionInfo | None:
    """The version that gates compare with; a replaced one is stood in for, one that is gone needs force."""
    if seen is None:
        return None
    number = catalog.stand_in(place, seen.version)
    try:
        return readable(catalog, place, number or seen.version)
    except NotFound as error:
        if terms.force:
            return None
        raise InvalidPromotion(f"the gates have nothing to compare with: {error}; promote with force=True") from error


def _refusal(candidate: Version, pointer: Alias, results: Sequence[GateResult]) -> str:
    refused = sum(not result.passed for result in results)
    said = "; ".join(f"{'passed' if result.passed else 'REFUSED'} {result.name}: {result.why}" for result in results)
    return f"{candidate.reference} was not promoted to {pointer}, refused by {refused} of {len(results)} gates: {said}"
