"""What a store, an embedding and a version show of themselves, for a terminal and a notebook alike.

A card is plain data; `registry.show.terminal` and `registry.show.notebook` draw it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.records import Score, Upstream, VersionInfo

if TYPE_CHECKING:
    from registry.reader import Version
    from registry.show.embedding import Embedding

Row = Mapping[str, Any]
_FIRST_KEYS = 8


@dataclass(frozen=True, kw_only=True)
class Card:
    """What to show, top down; empty parts are left out.

    Attributes:
        title: one line.
        facts: name to value; a mapping inside is shown one line per entry.
        tables: caption to rows of equal columns.
        lineage: a tree.
    """

    title: str
    facts: Row = field(default_factory=dict)
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    lineage: Upstream | None = None


def version_card(version: "Version") -> Card:
    """Size, data window, trainer, aliases, first keys; scores; lineage."""
    manifest, info = version.manifest, version.info
    training = {name: value for name, value in manifest.training.items() if isinstance(value, str | int | float)}
    facts = {
        "keys": f"{info.count:,} of entity {info.entity}",
        "dim": info.dim,
        "metric": info.metric,
        "week": info.week,
        "window_weeks": manifest.window_weeks,
        "aliases": ", ".join(f"@{alias}" for alias in version.aliases()) or None,
        "attributes": ", ".join(manifest.attributes) or None,
        "trainer": dict(manifest.trainer),
        "training": training,
        "space": info.space,
        "published": _minute(info.published_at),
        "created_by": info.created_by,
        "bytes": sum(digest.bytes for digest in manifest.files.values()),
        "first keys": ", ".join(repr(key) for key in version.keys()[:_FIRST_KEYS].to_pylist()),
    }
    scores = {"scores": score_rows(version.scores())}
    return Card(title=version.reference, facts=facts, tables=scores, lineage=version.lineage())


def embedding_card(embedding: "Embedding") -> Card:
    """Its versions, newest first, with their aliases and those that are gone."""
    aliases = embedding.aliases_of
    rows = [
        {
            "version": f"v{info.number}",
            "aliases": ", ".join(f"@{alias}" for alias in aliases.get(info.number, ())) or None,
            **_size(info),
            "published": _minute(info.published_at),
            "state": embedding.gone.get(info.number),
        }
        for info in reversed(embedding.versions)
    ]
    return Card(title=embedding.name, tables={"versions": rows})


def store_card(root: str, embeddings: Iterable["Embedding"]) -> Card:
    """One line per embedding: how many versions it has, and the newest that can be read."""
    rows = [
        {
            "embedding": embedding.name,
            "versions": len(embedding.versions),
            "latest": embedding.latest and embedding.latest.reference,
            "aliases": ", ".join(f"@{alias} v{number}" for alias, number in embedding.aliases.items()) or None,
            **_size(embedding.latest or embedding.versions[-1]),
        }
        for embedding in embeddings
    ]
    return Card(title=f"Store {root}", tables={"embeddings": rows} if rows else {})


def _size(info: VersionInfo) -> dict[str, Any]:
    return {"week": info.week, "keys": info.count, "dim": info.dim, "metric": info.metric}


def _minute(moment: str) -> str:
    """An ISO 8601 time in UTC, as people read it."""
    return f"{moment[:16].replace('T', ' ')} UTC"


def score_rows(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """One row per score, with the reason where there is no value."""
    return [
        {
            "task": score.task,
            "metric": score.metric,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "floor": score.floor,
            "rows": score.rows_used,
            "left out": score.rows_left_out,
            "undefined because": score.undefined,
        }
        for score in scores
    ]


def used_columns(rows: Sequence[Row]) -> list[str]:
    """Names of the columns that hold anything."""
    return [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []


def is_number_column(rows: Sequence[Row], name: str) -> bool:
    """Whether a column is set flush right."""
    return all(type(row[name]) in (int, float, type(None)) for row in rows)


def flat_facts(facts: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name and value, with the entries of a mapping one by one; what is empty is left out."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat_facts(value, f"{prefix}{name} ")
        elif value is not None and not (isinstance(value, list | tuple) and not value):
            yield prefix + name, value


def node_text(node: Upstream) -> str:
    """One asset partition in one line."""
    facts = {
        "partition": node.partition,
        "data": node.data_version and node.data_version[:12],
        "code": node.code_version,
        "run": node.run_id,
    }
    return " ".join([node.asset, *(f"{name}={value}" for name, value in facts.items() if value)])


def cell_text(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if value % 1 or abs(value) < 1 else f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, np.ndarray):
        return " ".join(f"{number:.6g}" for number in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def printable(text: str) -> str:
    """Text in which nothing is invisible or commands a terminal: control and direction marks are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
