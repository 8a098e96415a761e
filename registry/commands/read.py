"""Commands that only read: list, show, versions, lookup, neighbors, lineage, scores, verify."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

import click

from registry.commands.base import Output, command, keys_argument, reference_argument
from registry.reader import Missing, Version
from registry.records import Metric, VersionInfo
from registry.search.query import Plan
from registry.show import terminal
from registry.store import Store


@command("embeddings list word", name="list")
@click.argument("entity", required=False)
def list_embeddings(store: Store, out: Output, entity: str | None) -> None:
    """List all embeddings, each with its newest version."""
    rows = [_listing(store, name) for name in store.names(entity)]
    out.emit(rows, lambda: terminal.table_of(_joined(rows), f"nothing is published in {store.root} yet"))


@command("embeddings show word/word@2026-01-05")
@reference_argument
def show(store: Store, out: Output, reference: str) -> None:
    """Show all facts about a version. Trainer, window, sizes, files and scores."""
    version = store[reference]
    facts, scores = _facts(version, _aliases(store, version.info)), version.scores()
    out.emit(
        facts | {"scores": [asdict(score) for score in scores]},
        lambda: terminal.facts_of(facts),
        lambda: terminal.scores_of(scores, "no scores yet"),
    )


@command("embeddings versions word/word")
@click.argument("name")
def versions(store: Store, out: Output, name: str) -> None:
    """List all versions of an embedding in the order of publishing."""
    rows = [_version_row(info, _aliases(store, info)) for info in store.versions(name)]
    out.emit(rows, lambda: terminal.table_of(_joined(rows), f"{name} has no versions"))


@command("embeddings lookup word/word jax gpu --missing mask")
@reference_argument
@keys_argument
@click.option(
    "--missing",
    type=click.Choice(get_args(Missing)),
    default="raise",
    show_default=True,
    help="What an unknown key gives; mask is a zero vector, marked as not found.",
)
def lookup(store: Store, out: Output, reference: str, keys: tuple[str, ...], missing: Missing) -> None:
    """Print the vectors of some keys."""
    version = store[reference]
    vectors, found = version.lookup(keys, missing="mask")
    if missing != "mask":
        vectors = version.lookup(keys, missing=missing)
    rows = [
        {"key": key, "found": bool(hit), "vector": vector}
        for key, hit, vector in zip(keys, found, vectors, strict=True)
    ]
    listed = [row | {"vector": row["vector"].tolist()} for row in rows]
    out.emit(
        {"reference": version.reference, "dim": version.dim, "rows": listed},
        lambda: terminal.table_of(rows, "no keys"),
    )


@command("embeddings neighbors word/word@v12 jax -k 5 --metric dot")
@reference_argument
@keys_argument
@click.option("-k", "--count", "k", default=10, show_default=True, help="Neighbours per key.")
@click.option("--metric", type=click.Choice(get_args(Metric)), help="Default: the version's own.")
@click.option("--recall", type=float, help="Share of the true neighbours to find, such as 0.95.")
@click.option("--where", help='SQL condition on the attributes that an answer fulfils, such as "count > 100".')
@click.option("--exclude", multiple=True, help="A key that is no answer; may be repeated.")
@click.option("--plan", type=click.Choice(get_args(Plan)), default="auto", show_default=True, help="Force a plan.")
def neighbors(store: Store, out: Output, reference: str, **question: Any) -> None:
    """Print the nearest keys of some keys, best first. A larger score is closer."""
    version = store[reference]
    keys, metric = question.pop("keys"), question.pop("metric") or version.metric
    answer = version.neighbors(keys, metric=metric, **question)
    rows = [
        {"key": key, "rank": rank, "neighbor": near, "score": float(score)}
        for key, names, scores in zip(keys, answer.keys, answer.scores, strict=True)
        for rank, (near, score) in enumerate(zip(names, scores, strict=True), start=1)
    ]
    out.emit(
        {"reference": version.reference, "metric": metric, "plan": answer.plan, "neighbors": rows},
        lambda: terminal.table_of(rows, "no neighbours"),
        lambda: f"{version.reference}, {metric}, {answer.plan}",
    )


@command("embeddings lineage word/word@latest")
@reference_argument
def lineage(store: Store, out: Output, reference: str) -> None:
    """Show what a version was made from, down to raw partitions."""
    version = store[reference]
    made_from = version.lineage()
    out.emit(
        {"reference": version.reference, "lineage": asdict(made_from) if made_from else None},
        lambda: terminal.lineage_of(version.reference, made_from),
    )


@command("embeddings scores word/word@latest")
@reference_argument
def scores(store: Store, out: Output, reference: str) -> None:
    """Show the benchmark results of a version. Of each task and metric, the newest."""
    version = store[reference]
    recorded = version.scores()
    out.emit(
        {"reference": version.reference, "scores": [asdict(score) for score in recorded]},
        lambda: terminal.scores_of(recorded, f"{version.reference} has no scores yet"),
    )


@command("embeddings verify")
@click.argument("reference", required=False)
def verify(store: Store, out: Output, reference: str | None) -> None:
    """Hash every file again. Exit code 1 if any is damaged."""
    found = store[reference].verify() if reference else store.verify()
    state = "all whole" if found.ok else f"{len(found.problems)} damaged"
    summary = f"{found.versions} versions, {found.scores} scores, {found.files} files, {found.bytes:,} bytes: {state}"
    problems = [lambda problem=problem: terminal.plain(problem) for problem in found.problems]
    out.emit(asdict(found) | {"ok": found.ok}, *problems, lambda: summary)
    if not found.ok:
        click.get_current_context().exit(1)


def _listing(store: Store, name: str) -> dict[str, Any]:
    found = store.embedding(name)
    newest = found.latest  # None where every version is gone
    shown = {"embedding": name, "versions": len(found.versions), "latest": newest.reference if newest else None}
    aliases = [f"{alias} v{number}" for alias, number in found.aliases.items()]
    row = _version_row(newest, aliases) if newest else {"aliases": aliases}
    return shown | {field: row.get(field) for field in ("week", "keys", "dim", "metric", "aliases", "published")}


def _aliases(store: Store, info: VersionInfo) -> list[str]:
    """The aliases that name this very version now."""
    moves = store.aliases(f"{info.entity}/{info.name}")
    return [alias for alias, move in moves.items() if move.version == info.number]


def _joined(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows for people: aliases in one cell, none where there are none."""
    return [row | {"aliases": ", ".join(row["aliases"]) or None} for row in rows]


def _version_row(info: VersionInfo, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "reference": info.reference,
        "week": info.week,
        "aliases": list(aliases),
        "keys": info.count,
        "dim": info.dim,
        "metric": info.metric,
        "space": info.space,
        "created_by": info.created_by,
        "published": info.published_at,
    }


def _facts(version: Version, aliases: Sequence[str]) -> dict[str, Any]:
    manifest = version.manifest
    return _version_row(version.info, aliases) | {
        "window_weeks": manifest.window_weeks,
        "trainer": dict(manifest.trainer),
        "training": dict(manifest.training),
        "attributes": list(manifest.attributes),
        "index": asdict(manifest.index),
        "files": {name: asdict(digest) for name, digest in manifest.files.items()},
        "attempt": version.info.attempt,
    }
