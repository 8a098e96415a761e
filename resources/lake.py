"""The lake and the registry, as one handle for assets and checks."""

from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from registry import Store, Version, open_registry
from resources.lake_files import LakeFiles


class Lake(dg.ConfigurableResource):
    """Weekly Parquet partitions below `root`, and versions in the registry below `registry_root`."""

    root: str
    registry_root: str
    _store: Store | None = PrivateAttr(default=None)

    @property
    def files(self) -> LakeFiles:
        """The Parquet partitions."""
        return LakeFiles(Path(self.root))

    @property
    def store(self) -> Store:
        """The registry that versions go to; one object for as long as this one lives: it remembers the logs it read."""
        if self._store is None:
            self._store = open_registry(self.registry_root)
        return self._store

    def versions(self, asset: str, week: str) -> list[Version]:
        """The registry versions that the embedding `asset` published in `week`; none where it has not run.

        Of one that held erased keys it is the version that took its place; one that was retired is left out.
        """
        if not self.files.exists(asset, week):
            return []
        store = self.store
        names = [(f"{row['entity']}/{row['name']}", row["number"]) for row in self.files.read(asset, week).to_pylist()]
        candidates = [(f"{name}@v{number}", f"{name}@{week}") for name, number in names]
        found = [next((one for one in references if one in store), None) for references in candidates]
        return [store[reference] for reference in found if reference]
