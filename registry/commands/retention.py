"""Commands about what is kept: retain, gc, pin, holds, release, erase."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry.commands.base import Output, command, reference_argument, span_of
from registry.errors import InvalidQuery
from registry.keeping.erasure import ErasureReport
from registry.keeping.retention import Keep
from registry.show import terminal
from registry.store import Store

_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would go.")
_reason = click.option("--reason", required=True, help="Why; recorded.")


@command("embeddings retain word/word --last 3 --weeks 8 --dry-run")
@click.argument("name")
@click.option("--last", type=int, help="Keep so many newest versions.")
@click.option("--weeks", type=int, help="Keep the newest version of each of so many weeks.")
@click.option("--aliased/--no-aliased", default=True, help="Keep what aliases name, and a rollback's target.")
@_dry_run
def retain(store: Store, out: Output, name: str, *, dry_run: bool, **policy: Any) -> None:
    """Retire the versions that a policy does not keep. Run gc afterwards to free their space."""
    found = store.retain(name, Keep(**policy), dry_run=dry_run)
    verb = "would be retired" if dry_run else "retired"
    rows = [{"reference": reference, "state": verb, "why": ""} for reference in found.retired]
    rows += [{"reference": reference, "state": "kept", "why": why} for reference, why in found.kept.items()]
    out.emit(asdict(found), lambda: terminal.table_of(rows, f"{name} has no versions"))


@command("embeddings gc --older-than-hours 24")
@click.option("--older-than-hours", type=float, default=24.0, show_default=True, help="Keep what is younger.")
@_dry_run
def gc(store: Store, out: Output, *, older_than_hours: float, dry_run: bool) -> None:
    """Remove attempts that were left over and the files of retired versions."""
    found = store.gc(span_of("--older-than-hours", dt.timedelta(hours=1), older_than_hours), dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    rows = [{"path": path, "state": verb, "why": ""} for path in found.removed]
    rows += [{"path": path, "state": "kept", "why": why} for path, why in found.kept.items()]
    out.emit(
        asdict(found),
        lambda: terminal.table_of(rows, "nothing is left over"),
        lambda: f"{found.bytes:,} bytes {verb}",
    )


@command("embeddings pin word/word@v12 --reason 'training set of May'")
@reference_argument
@_reason
@click.option("--days", type=float, help="Let the pin end after so many days; by default it stays until released.")
def pin(store: Store, out: Output, reference: str, reason: str, days: float | None) -> None:
    """Keep a version's files whatever a policy says."""
    until = None if days is None else dt.datetime.now(dt.UTC) + span_of("--days", dt.timedelta(days=1), days)
    hold = store.pin(reference, reason=reason, until=until)
    out.emit(asdict(hold), lambda: terminal.facts_of(asdict(hold)))


@command("embeddings holds word/word")
@click.argument("name")
def holds(store: Store, out: Output, name: str) -> None:
    """List the pins and leases of an embedding that have not ended."""
    rows = [asdict(hold) for hold in store.holds(name)]
    out.emit(rows, lambda: terminal.table_of(rows, f"nothing holds a version of {name}"))


@command("embeddings release word/word 3f9c2a71b0de")
@click.argument("name")
@click.argument("hold_id", metavar="ID")
def release(store: Store, out: Output, name: str, hold_id: str) -> None:
    """End a pin or a lease; `holds` lists their ids."""
    known = {hold.id: hold for hold in store.holds(name)}
    if hold_id not in known:
        raise InvalidQuery(f"{name} has no pin or lease {hold_id!r:.80}; it has {', '.join(known) or 'none'}")
    store.release(known[hold_id])
    out.emit({"released": hold_id}, lambda: f"released {hold_id}")


@command("embeddings erase user --keys-from ids.txt --reason 'request 1234'")
@click.argument("entity")
@click.argument("keys", nargs=-1)
@click.option(
    "--keys-from",
    type=click.Path(exists=True, dir_okay=False),
    help="File with a key a line: keeps them out of your shell's history.",
)
@_reason
def erase(store: Store, out: Output, entity: str, keys: tuple[str, ...], keys_from: str | None, reason: str) -> None:
    """Replace every version that holds some keys by one without them, and remove the old files."""
    listed = _lines(Path(keys_from)) if keys_from else []
    done = store.erase(entity, [*keys, *filter(None, listed)], reason=reason)
    rows = [{"version": old, "replaced by": new or "nothing: no key was left"} for old, new in done.replaced.items()]
    out.emit(
        asdict(done),
        lambda: terminal.table_of(rows, "no version holds such a key"),
        lambda: f"{len(done.removed)} folders and {done.scores} scores removed, {len(done.aliases)} aliases moved",
        *(lambda line=line: terminal.plain(line) for line in _left(done)),
    )


def _lines(path: Path) -> list[str]:
    """The lines of a text file; only a line feed ends one, since any other character may be part of a key."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidQuery(f"{path} is not UTF-8: {error}; write it with a key a line") from error
    return [line.removesuffix("\r") for line in text.split("\n")]


def _left(done: ErasureReport) -> Iterator[str]:
    if done.not_found:
        yield f"{done.not_found} keys were found in no version and no feature set"
    yield from (f"{path} still mentions a key; it never changes" for path in done.mentions)
    yield from (f"{path} is about to be published; erase again" for path in done.in_flight)
