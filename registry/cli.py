"""The `embeddings` command: look into a registry from a terminal, or from scripts by `--json`."""

import functools
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import click

from registry import terminal
from registry.errors import RegistryError
from registry.reader import Missing, Version
from registry.records import Metric, VersionInfo
from registry.store import Store, open_registry

_LINE_BREAK = re.compile(r"\s*\n\s*")


class _Group(click.Group):
    """A group whose typed errors are one line on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RegistryError, PermissionError) as error:
            raise click.ClickException(_LINE_BREAK.sub(" ", str(error))) from error


@dataclass(frozen=True)
class _Output:
    """Where an answer goes: one JSON document, or something drawn for people."""

    as_json: bool

    def emit(self, document: Any, *parts: Callable[[], Any]) -> None:
        """Print `document` as JSON, or what each part makes."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))
        else:
            terminal.draw(part() for part in parts)


def _default_root() -> str:
    return str(Path(os.environ.get("EMBEDDINGS_HOME") or "./data").expanduser() / "registry")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    default=_default_root,
    metavar="DIR",
    help="The registry's folder; by default $EMBEDDINGS_HOME/registry, or ./data/registry.",
)
@click.version_option(package_name="embedding-assets")
@click.pass_context
def main(ctx: click.Context, root: str) -> None:
    """Read published embeddings.

    A REFERENCE is entity/name[@latest | @vN | @YYYY-MM-DD], such as word/word@v12.
    """
    ctx.obj = root


def _command(example: str, name: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Register a function as a command; it is given the store, the output and its own options."""

    def register(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(root: str, *, as_json: bool, **options: Any) -> None:
            function(open_registry(root), _Output(as_json), **options)

        with_json = click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")
        return main.command(name, epilog=f"Example: {example}")(with_json(click.pass_obj(run)))

    return register


_reference = click.argument("reference")
_keys = click.argument("keys", nargs=-1, required=True)


@_command("embeddings list word", name="list")
@click.argument("entity", required=False)
def list_embeddings(store: Store, out: _Output, entity: str | None) -> None:
    """List all embeddings, each with its newest version."""
    rows = [_listing(store, name) for name in store.names(entity)]
    out.emit(rows, lambda: terminal.table_of(rows, f"nothing is published in {store.root} yet"))


@_command("embeddings show word/word@2026-01-05")
@_reference
def show(store: Store, out: _Output, reference: str) -> None:
    """Show all facts about a version. Trainer, window, sizes, files and scores."""
    version = store[reference]
    facts, scores = _facts(version), version.scores()
    out.emit(
        facts | {"scores": [asdict(score) for score in scores]},
        lambda: terminal.facts_of(facts),
        lambda: terminal.scores_of(scores, "no scores yet"),
    )


@_command("embeddings versions word/word")
@click.argument("name")
def versions(store: Store, out: _Output, name: str) -> None:
    """List all versions of an embedding in the order of publishing."""
    rows = [_version_row(info) for info in store.versions(name)]
    out.emit(rows, lambda: terminal.table_of(rows, f"{name} has no versions"))


@_command("embeddings lookup word/word jax gpu --missing mask")
@_reference
@_keys
@click.option(
    "--missing",
    type=click.Choice(get_args(Missing)),
    default="raise",
    show_default=True,
    help="What an unknown key gives; mask is a zero vector, marked as not found.",
)
def lookup(store: Store, out: _Output, reference: str, keys: tuple[str, ...], missing: Missing) -> None:
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


@_command("embeddings neighbors word/word@v12 jax -k 5 --metric dot")
@_reference
@_keys
@click.option("-k", "--count", "k", default=10, show_default=True, help="Neighbours per key.")
@click.option("--metric", type=click.Choice(get_args(Metric)), help="Default: the version's own.")
@click.option("--recall", type=float, help="Share of the true neighbours to find, such as 0.95.")
def neighbors(store: Store, out: _Output, reference: str, **question: Any) -> None:
    """Print the nearest keys of some keys, best first. A larger score is closer."""
    version = store[reference]
    keys, metric = question["keys"], question["metric"] or version.metric
    answer = version.neighbors(keys, question["k"], metric=metric, recall=question["recall"])
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


@_command("embeddings lineage word/word@latest")
@_reference
def lineage(store: Store, out: _Output, reference: str) -> None:
    """Show what a version was made from, down to raw partitions."""
    version = store[reference]
    made_from = version.lineage()
    out.emit(
        {"reference": version.reference, "lineage": asdict(made_from) if made_from else None},
        lambda: terminal.lineage_of(version.reference, made_from),
    )


@_command("embeddings scores word/word@latest")
@_reference
def scores(store: Store, out: _Output, reference: str) -> None:
    """Show the benchmark results of a version. Of each task and metric, the newest."""
    version = store[reference]
    recorded = version.scores()
    out.emit(
        {"reference": version.reference, "scores": [asdict(score) for score in recorded]},
        lambda: terminal.scores_of(recorded, f"{version.reference} has no scores yet"),
    )


@_command("embeddings verify")
@click.argument("reference", required=False)
def verify(store: Store, out: _Output, reference: str | None) -> None:
    """Hash every file again. Exit code 1 if any is damaged."""
    found = store[reference].verify() if reference else store.verify()
    state = "all whole" if found.ok else f"{len(found.problems)} damaged"
    summary = f"{found.versions} versions, {found.scores} scores, {found.files} files, {found.bytes:,} bytes: {state}"
    problems = [lambda problem=problem: terminal.plain(problem) for problem in found.problems]
    out.emit(asdict(found) | {"ok": found.ok}, *problems, lambda: summary)
    if not found.ok:
        click.get_current_context().exit(1)


def _listing(store: Store, name: str) -> dict[str, Any]:
    newest = store[name].info
    shown = {"embedding": name, "versions": len(store.versions(name)), "latest": newest.reference}
    row = _version_row(newest)
    return shown | {field: row[field] for field in ("week", "keys", "dim", "metric", "published")}


def _version_row(info: VersionInfo) -> dict[str, Any]:
    return {
        "reference": info.reference,
        "week": info.week,
        "keys": info.count,
        "dim": info.dim,
        "metric": info.metric,
        "space": info.space,
        "created_by": info.created_by,
        "published": info.published_at,
    }


def _facts(version: Version) -> dict[str, Any]:
    manifest = version.manifest
    return _version_row(version.info) | {
        "window_weeks": manifest.window_weeks,
        "trainer": dict(manifest.trainer),
        "training": dict(manifest.training),
        "attributes": list(manifest.attributes),
        "index": asdict(manifest.index),
        "files": {name: asdict(digest) for name, digest in manifest.files.items()},
        "attempt": version.info.attempt,
    }
