"""Where searches for better settings are kept."""

from pathlib import Path

import dagster as dg


class Studies(dg.ConfigurableResource):
    """One journal an embedding, and the settings that its searches propose.

    Attributes:
        folder: on a local disk: a journal is locked while a search runs.
    """

    folder: str

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)
