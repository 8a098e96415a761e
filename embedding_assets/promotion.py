"""What one training run published, promoted together or not at all: versions in, verdicts and moves out."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry import Store, Version
from registry.errors import AliasNotFound, Conflict, NotFound, RegistryError
from registry.gates import Gate, NotOlder, judge
from registry.records_promotion import GateResult, Promotion

#: The alias that names what is served.
ALIAS = "production"


@dataclass(frozen=True)
class Verdict:
    """What the gates say of one candidate.

    Attributes:
        candidate: the version that asks to be served.
        served: the last move of the alias before; None where it was never set.
        results: of every gate, in their order.
    """

    candidate: Version
    served: Promotion | None
    results: tuple[GateResult, ...]

    @property
    def refused(self) -> list[GateResult]:
        """The gates that hold the candidate back."""
        return [result for result in self.results if not result.passed]

    @property
    def is_older(self) -> bool:
        """Whether what is served has newer data: then it is not meant to be followed by this."""
        return any(result.name == str(NotOlder()) for result in self.refused)


def judge_together(store: Store, candidates: Sequence[Version], gates: Sequence[Gate]) -> list[Verdict]:
    """Ask every gate about every candidate, and first whether newer data are served; nothing moves."""
    return [_judge(store, candidate, (NotOlder(), *gates)) for candidate in candidates]


def _judge(store: Store, candidate: Version, gates: Sequence[Gate]) -> Verdict:
    name = f"{candidate.entity}/{candidate.name}"
    served = store.aliases(name).get(ALIAS)
    try:
        current = store[f"{name}@{ALIAS}"] if served else None
    except AliasNotFound:
        current = None
    except NotFound as error:  # erased or retired: the gates have nothing to compare with
        gone = GateResult(name="served version", passed=False, why=f"{error}; promote with --force and a reason")
        return Verdict(candidate, served, (gone,))
    return Verdict(candidate, served, judge(gates, candidate, current))


def promote_together(store: Store, verdicts: Sequence[Verdict], reason: str) -> list[Promotion]:
    """Let `production` name every candidate, if no gate refuses any of them; else nothing moves.

    Each alias moves by compare-and-swap from the version that the gates compared with. A process that dies between
    two moves leaves the first one made; asked again it finds that done and makes the rest.

    Returns:
        The moves, in the order of the candidates; none where a gate refused.

    Raises:
        Conflict: somebody moved one of the aliases meanwhile; those moved here are moved back.
    """
    if any(verdict.refused for verdict in verdicts):
        return []
    moved: list[Verdict] = []
    moves: list[Promotion] = []
    for verdict in verdicts:
        expect = f"v{verdict.served.version}" if verdict.served else None
        try:
            moves.append(
                store.promote(verdict.candidate, ALIAS, gates=_said(verdict.results), expect=expect, reason=reason)
            )
        except RegistryError:
            _undo(store, moved)
            raise
        moved.append(verdict)
    return moves


def _said(results: Sequence[GateResult]) -> list[Gate]:
    """Gates that repeat what was said, so that the move records it without judging twice."""
    return [lambda _candidate, _current, result=result: result for result in results]


def _undo(store: Store, moved: Sequence[Verdict]) -> None:
    """Roll back what was moved before another alias refused; a first promotion has nothing to go back to."""
    for verdict in moved:
        served, candidate = verdict.served, verdict.candidate
        if served is not None and served.version != candidate.number:
            name, expect = f"{candidate.entity}/{candidate.name}", f"v{candidate.number}"
            try:
                store.rollback(name, ALIAS, expect=expect, reason="what was trained with it could not be promoted")
            except Conflict:
                continue  # somebody has moved it on since: theirs counts


def served_now(store: Store, name: str) -> str | None:
    """The exact reference of what `entity/name` serves, such as `word/word@v7`; None where nothing is."""
    if name not in store.names():
        return None
    move = store.aliases(name).get(ALIAS)
    return move.reference if move else None
