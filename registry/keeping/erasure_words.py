"""Keys in words: in what a version tells of its training, which a replacement tells again, and in log entries."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from registry.features.sets import set_places
from registry.layout import numbered
from registry.logs.catalog import Catalog
from registry.logs.resolve import alias_names
from registry.records import Upstream

Mentions = Callable[[Any], bool]

# The fields of log entries that people or their programs fill in; the others are numbers and names of folders.
_WORDS = ("reason", "gates", "by", "promoted_by", "created_by", "space", "lineage", "columns", "score")


def cut_words(value: Any, mentions: Mentions) -> Any:
    """A JSON-able value without the texts, and the named fields, that mention a key.

    Numbers stay: 5 is far more often a setting than a key.
    """
    if isinstance(value, Mapping):
        return {name: cut_words(one, mentions) for name, one in value.items() if not mentions(name)}
    if isinstance(value, list | tuple):
        return [cut_words(one, mentions) for one in value if not (isinstance(one, str) and mentions(one))]
    return None if isinstance(value, str) and mentions(value) else value


def cut_lineage(made_from: Upstream | None, mentions: Mentions) -> Upstream | None:
    """The lineage with None for partitions, runs and versions that mention a key; names of assets stay."""
    if made_from is None:
        return None
    facts = ("partition", "data_version", "run_id", "code_version")
    cut: dict[str, Any] = {name: cut_words(getattr(made_from, name), mentions) for name in facts}
    return replace(made_from, **cut, upstream=tuple(_cut_all(made_from.upstream, mentions)))


def mentioning_entries(catalog: Catalog, mentions: Mentions) -> list[str]:
    """Paths of the log entries, of all embeddings and feature sets, that mention a key in words."""
    return [
        f"{folder}/{numbered(entry['number'])}"
        for folder in _log_folders(catalog)
        for entry in catalog.log(folder).entries()
        if mentions([entry.get(name) for name in _WORDS])
    ]


def _cut_all(several: tuple[Upstream, ...], mentions: Mentions) -> Iterator[Upstream]:
    for one in several:
        cut = cut_lineage(one, mentions)
        if cut is not None:
            yield cut


def _log_folders(catalog: Catalog) -> Iterator[str]:
    for place in catalog.places():
        yield from (place.log, place.scores, place.retention)
        yield from map(place.alias, alias_names(catalog, place))
    for features in set_places(catalog):
        yield features.log
