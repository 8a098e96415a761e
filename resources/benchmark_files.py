"""Benchmark files that the user gave."""

from pathlib import Path

import dagster as dg
from pydantic import Field


class BenchmarkFiles(dg.ConfigurableResource):
    """Files of human judgement; each becomes one score, named by the file's stem.

    Attributes:
        word_similarity: tab-separated word, word, human score.
        analogy: lines of four words, `: section` lines between them.
    """

    word_similarity: list[str] = Field(default_factory=list)
    analogy: list[str] = Field(default_factory=list)

    def paths(self) -> dict[str, Path]:
        """`<task>/<stem>` -> path, as benchmark tasks ask for them."""
        given = {"word_similarity": self.word_similarity, "analogy": self.analogy}
        return {f"{task}/{Path(path).stem}": Path(path) for task, paths in given.items() for path in paths}
