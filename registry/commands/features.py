"""The command `features`: which feature sets an entity has, and what some keys have in them."""

from typing import Any, get_args

import click

from registry.commands.base import Output, command, plain
from registry.features.access import MissingFeature
from registry.features.sets import FeatureSet
from registry.show import terminal
from registry.store import Store


@command("embeddings features user u1 u2 --feature derived.activity.tweets --as-of 2026-01-12")
@click.argument("entity", required=False)
@click.argument("keys", nargs=-1)
@click.option(
    "-f",
    "--feature",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="raw.<set>[.<column>], derived.<set>[.<column>] or learned.<embedding>[@...]; may be repeated.",
)
@click.option("--as-of", metavar="TIME", help="As published by then; UTC unless it says otherwise. Default: now.")
@click.option(
    "--missing",
    type=click.Choice(get_args(MissingFeature)),
    default="null",
    show_default=True,
    help="What a key gets that has no value; mean is over all entities of the publication.",
)
def features(store: Store, out: Output, entity: str | None, keys: tuple[str, ...], **question: Any) -> None:
    """List feature sets or, with keys, print their features as they were published by a moment."""
    if not keys:
        rows = [_listing(one) for one in store.feature_sets(entity)]
        out.emit(rows, lambda: terminal.table_of(rows, f"no feature set is published in {store.root} yet"))
        return
    wanted = question["wanted"] or [one.reference for one in store.feature_sets(entity)]
    if not wanted:
        raise click.ClickException(f"{entity!r} has no feature set; name --feature learned.<embedding>")
    joined = store.features(str(entity), list(keys), wanted, as_of=question["as_of"], missing=question["missing"])
    found = plain(joined.to_pylist())
    out.emit(found, lambda: terminal.table_of(found, "no keys"))


def _listing(one: FeatureSet) -> dict[str, Any]:
    return {
        "entity": one.entity,
        "set": one.reference,
        "columns": ", ".join(f"{name}: {kind}" for name, kind in one.columns.items()),
        "publication": one.number,
        "week": one.week,
        "rows": one.count,
        "published": one.published_at,
    }
