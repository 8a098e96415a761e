"""Benchmark files that the user gave."""

from pathlib import Path

import dagster as dg
from pydantic import Field


class BenchmarkFiles(dg.ConfigurableResource):
    """Word-similarity files: tab-separated word, word, human score.

    Attributes:
        word_similarity: their paths; each becomes one score, named by the file's stem.
    """

    word_similarity: list[str] = Field(default_factory=list)

    def paths(self) -> dict[str, Path]:
        """The task's name of a file (its stem) -> its path."""
        return {Path(path).stem: Path(path) for path in self.word_similarity}
