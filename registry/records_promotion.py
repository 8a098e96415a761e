"""The records that promotions leave: what each gate said, and every move of an alias."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What one gate said of a candidate.

    Attributes:
        name: the gate with its settings, such as `MaxShrink(share=0.3)`.
        passed: whether the candidate may be promoted as far as this gate can tell.
        why: one sentence with the decisive numbers.
        numbers: those and further numbers, JSON-able.
    """

    name: str
    passed: bool
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One move of an alias; the alias names the version of its newest one.

    Attributes:
        alias: such as `production`.
        number: 1, 2, 3, ... in the order of the alias's moves.
        action: `promote`, `rollback` to an earlier target, or `replace` of an erased version.
        version: number of the version that the alias has named since.
        previous: number of the version that it named before; None for the first.
        undo_to: number of the earlier move whose version a rollback returns to; None where there is none.
        gates: what each gate said; empty where none was asked.
        forced: whether gates were overruled.
        reason: why, in the words of whoever did it; always there where it was forced.
        promoted_by: `user@host`.
        promoted_at: UTC, ISO 8601.
    """

    entity: str
    name: str
    alias: str
    number: int
    action: Literal["promote", "rollback", "replace"]
    version: int
    previous: int | None
    undo_to: int | None
    gates: tuple[GateResult, ...] = ()
    forced: bool = False
    reason: str | None = None
    promoted_by: str
    promoted_at: str

    @property
    def reference(self) -> str:
        """The exact reference of the version promoted, such as `word/word@v12`."""
        return f"{self.entity}/{self.name}@v{self.version}"
