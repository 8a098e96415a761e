"""One embedding at a glance: its versions, its aliases and what is gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from registry.records import VersionInfo
from registry.show import notebook
from registry.show.cards import embedding_card


@dataclass(frozen=True, eq=False)
class Embedding:
    """What `store.embedding("word/word")` returns; a notebook draws it as a table.

    Attributes:
        name: `entity/name`.
        versions: all ever published, by number.
        latest: what `@latest` names; None where every version is gone.
        aliases: alias to the number of the version that it names now.
        gone: number to `retired` or `erased`, for the versions that can no longer be read.
    """

    name: str
    versions: tuple[VersionInfo, ...]
    latest: VersionInfo | None
    aliases: Mapping[str, int]
    gone: Mapping[int, str]

    @cached_property
    def aliases_of(self) -> dict[int, list[str]]:
        """Version number to the aliases that name it."""
        found: dict[int, list[str]] = {}
        for alias, number in self.aliases.items():
            found.setdefault(number, []).append(alias)
        return found

    def __repr__(self) -> str:
        aliases = "".join(f", @{alias} v{number}" for alias, number in self.aliases.items())
        latest = f"latest v{self.latest.number}" if self.latest else "none can be read"
        return f"<Embedding {self.name}: {len(self.versions)} versions, {latest}{aliases}>"

    def __rich__(self) -> Any:
        from registry.show.terminal import card_of

        return card_of(embedding_card(self))

    def _repr_html_(self) -> str:
        return notebook.card_of(embedding_card(self))
