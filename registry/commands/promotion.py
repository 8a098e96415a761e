"""Commands that move aliases: promote, rollback, history, aliases."""

from dataclasses import asdict
from typing import Any

import click

from registry.commands.base import Output, command, reference_argument
from registry.gates import GATES, parse_gate
from registry.records_promotion import Promotion
from registry.show import terminal
from registry.store import Store

_name = click.argument("name")
_alias = click.argument("alias")
_expect = click.option(
    "--expect", default="any", metavar="vN|none", help="What the alias must name now; another version is a conflict."
)


@command("embeddings promote word/word@v12 production --gate max-shrink:0.3 --expect v11")
@reference_argument
@_alias
@click.option("--gate", "gates", multiple=True, metavar="NAME[:VALUE...]", help=f"May be repeated. {'; '.join(GATES)}.")
@_expect
@click.option("--reason", help="Recorded in the history.")
@click.option("--force", is_flag=True, help="Promote even if gates refuse; needs a reason.")
def promote(store: Store, out: Output, reference: str, alias: str, **terms: Any) -> None:
    """Let an alias name a version, if every gate lets it pass. Exit code 1 if one refuses."""
    gates = [parse_gate(text) for text in terms.pop("gates")]
    move = store.promote(reference, alias, gates=gates, expect=_expected(terms.pop("expect")), **terms)
    checks = [{"gate": result.name, "passed": result.passed, "why": result.why} for result in move.gates]
    out.emit(asdict(move), lambda: terminal.table_of(checks, "no gates were asked"), lambda: _sentence(move))


@command("embeddings rollback word/word production --reason 'worse for rare words'")
@_name
@_alias
@_expect
@click.option("--reason", help="Recorded in the history.")
def rollback(store: Store, out: Output, name: str, alias: str, **terms: Any) -> None:
    """Let an alias name again what it named before its last promotion."""
    move = store.rollback(name, alias, expect=_expected(terms["expect"]), reason=terms["reason"])
    out.emit(asdict(move), lambda: _sentence(move))


@command("embeddings history word/word production")
@_name
@_alias
def history(store: Store, out: Output, name: str, alias: str) -> None:
    """List every move of an alias, oldest first, with who made it and why."""
    moves = store.history(name, alias)
    rows = [_row(move) for move in moves]
    out.emit([asdict(move) for move in moves], lambda: terminal.table_of(rows, "no moves"))


@command("embeddings aliases word/word")
@_name
def aliases(store: Store, out: Output, name: str) -> None:
    """List the aliases of an embedding and what each names now."""
    found = store.aliases(name)
    rows = [{"alias": alias, **_row(move)} for alias, move in found.items()]
    document = {alias: asdict(move) for alias, move in found.items()}
    out.emit(document, lambda: terminal.table_of(rows, f"{name} has no aliases"))


def _expected(text: str) -> str | None:
    return None if text == "none" else text


def _row(move: Promotion) -> dict[str, Any]:
    return {
        "version": move.reference,
        "by": move.action,
        "gates": f"{sum(result.passed for result in move.gates)} of {len(move.gates)}" if move.gates else None,
        "forced": "yes" if move.forced else None,
        "at": move.promoted_at,
        "who": move.promoted_by,
        "reason": move.reason,
    }


def _sentence(move: Promotion) -> Any:
    before = f"was v{move.previous}" if move.previous else "was not set"
    forced = ", forced" if move.forced else ""
    return terminal.plain(f"{move.entity}/{move.name}@{move.alias} is v{move.version} ({before}{forced})")
