"""The reading half of a store: what there is, and how a reference becomes an open version."""

from collections.abc import Iterator
from typing import Any

from registry.errors import BadReference, InvalidName, NotFound
from registry.layout import Reference
from registry.logs.catalog import Catalog
from registry.logs.moments import recency
from registry.logs.resolve import alias_names, alias_target, aliases_of, known_versions, resolve
from registry.reader import Version
from registry.records import VersionInfo
from registry.show import notebook
from registry.show.cards import store_card
from registry.show.embedding import Embedding
from registry.storage.protocol import Storage
from registry.tables.files import VersionFiles


class Reading:
    """Finds and opens versions; `Store` adds what writes."""

    def __init__(self, storage: Storage) -> None:
        self._catalog = Catalog(storage)

    @property
    def root(self) -> str:
        """Where the registry lies."""
        return self._catalog.root

    def __repr__(self) -> str:
        return f"<Store {self.root}: {len(self)} embeddings>"

    def __len__(self) -> int:
        return len(self.names())

    def __bool__(self) -> bool:
        return True  # also where nothing is published yet

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, reference: object) -> bool:
        try:
            resolve(self._catalog, str(reference))
        except (NotFound, BadReference, InvalidName):
            return False
        return True

    def __getitem__(self, reference: str) -> Version:
        """Open `entity/name[@latest | @vN | @<week> | @<alias> | @<timestamp>]`.

        A timestamp (ISO, with `Z` or an offset) gives the version that `@latest` gave then.

        Raises:
            BadReference: the text has another shape.
            UnknownEmbedding: there is no such embedding; the message lists close matches.
            UnknownVersion: it has no such version or week, or had none at that time.
            AliasNotFound: the alias never was set on it.
            Retired: the version's files were removed by a retention policy.
            Erased: they were removed because they held keys that were erased.
            Corrupt: the log entry or the manifest was altered.
        """
        return self._open(resolve(self._catalog, reference))

    def names(self, entity: str | None = None) -> list[str]:
        """Sorted `entity/name` of all embeddings with at least one version.

        Raises:
            InvalidName: `entity` may not be a name.
        """
        return self._catalog.names(entity)

    def versions(self, name: str) -> list[VersionInfo]:
        """All versions of `entity/name`, in the order of their numbers.

        Raises:
            UnknownEmbedding: there is no such embedding.
            Corrupt: a log entry was altered.
        """
        return known_versions(self._catalog, Reference.parse(name).place)

    def embedding(self, name: str) -> Embedding:
        """`entity/name` at a glance: its versions, aliases, and what is gone; a notebook draws it.

        Raises:
            UnknownEmbedding: there is no such embedding; the message lists close matches.
        """
        place = Reference.parse(name).place
        infos, gone = known_versions(self._catalog, place), self._catalog.tombstones(place)
        here = [info for info in infos if info.number not in gone]
        return Embedding(
            name=str(place),
            versions=tuple(infos),
            latest=max(here, key=recency) if here else None,
            aliases={alias: alias_target(self._catalog, place, alias) for alias in alias_names(self._catalog, place)},
            gone={number: tombstone.kind for number, tombstone in gone.items()},
        )

    def __rich__(self) -> Any:
        from registry.show.terminal import card_of

        return card_of(store_card(self.root, map(self.embedding, self)))

    def _repr_html_(self) -> str:
        return notebook.card_of(store_card(self.root, map(self.embedding, self)))

    def _open(self, info: VersionInfo) -> Version:
        catalog = self._catalog
        files = VersionFiles(catalog.storage, info)
        return Version(info, files, lambda: catalog.scores(info), lambda: aliases_of(catalog, info))
