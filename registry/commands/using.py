"""Commands that put a version to use: compose, export."""

from pathlib import Path
from typing import Any, get_args

import click

from registry.commands.base import Output, command, reference_argument
from registry.records import ExportFormat, MissingFeature
from registry.show import terminal
from registry.store import Store


@command("embeddings compose word/word@production jax=2.0 gpu --neighbors 5")
@reference_argument
@click.argument("entries", nargs=-1, required=True, metavar="KEY[=WEIGHT]...")
@click.option("--missing", type=click.Choice(get_args(MissingFeature)), help="What an unknown key does.")
@click.option("--neighbors", "k", type=int, help="Show so many nearest keys, not the vector.")
@click.option("--of", "other", metavar="REFERENCE", help="Neighbours in another version of the same space.")
def compose(store: Store, out: Output, reference: str, **options: Any) -> None:
    """Make one vector of a weighted bag of keys.

    A weight is what follows the last = if that is a number, and 1 otherwise.
    """
    version = store[reference]
    composed = version.compose([_bag(options["entries"])], missing=options["missing"])
    facts = {
        "reference": composed.reference,
        "coverage": float(composed.coverage[0]),
        "unknown": list(composed.unknown),
    }
    if options["k"] is None:
        vector = composed.vectors[0]
        out.emit(facts | {"vector": vector.tolist()}, lambda: terminal.facts_of(facts | {"vector": vector}))
        return
    target = version if options["other"] is None else store[options["other"]]
    answer = target.neighbors(composed, k=options["k"])
    rows = [
        {"rank": rank, "neighbor": key, "score": float(score)}
        for rank, (key, score) in enumerate(zip(answer.keys[0], answer.scores[0], strict=True), start=1)
    ]
    out.emit(
        facts | {"of": target.reference, "metric": target.metric, "plan": answer.plan, "neighbors": rows},
        lambda: terminal.facts_of(facts),
        lambda: terminal.table_of(rows, "no neighbours"),
    )


@command("embeddings export word/word@production words.parquet")
@reference_argument
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "file_format", type=click.Choice(get_args(ExportFormat)), help="Default: by the suffix.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
def export(store: Store, out: Output, reference: str, path: Path, **options: Any) -> None:
    """Write a version to a file, by its suffix.

    .safetensors (keys, vectors, composer), .txt (word2vec), .parquet, .jaxexp
    """
    version = store[reference]
    written = version.export(path, options["file_format"], overwrite=options["overwrite"])
    rows = [{"file": str(file), "bytes": file.stat().st_size} for file in written]
    out.emit({"reference": version.reference, "files": rows}, lambda: terminal.table_of(rows, "nothing written"))


def _bag(entries: tuple[str, ...]) -> dict[str, float]:
    bag: dict[str, float] = {}
    for entry in entries:
        key, equals, text = entry.rpartition("=")
        weight = _number(text) if equals else None
        key, weight = (entry, 1.0) if weight is None else (key, weight)
        bag[key] = bag.get(key, 0.0) + weight
    return bag


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
