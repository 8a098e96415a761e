"""Do cosines rank pairs of words as people do? One score for each file of judged pairs."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import statistics
from benchmarks.task import Evaluation, InvalidTaskFile, Task, Undefined, undefined_score
from benchmarks.words import known_words, read_lines
from registry.reader import Version
from registry.records import Score

ID = "word_similarity.v1"
MIN_PAIRS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Pairs of words with human similarity.

    Attributes:
        first: n words, lower-cased as the corpus is.
        second: n words.
        human: (n,) float64, larger is more similar.
        sha256: of the file's bytes, so that a score says which data it rests on.
    """

    first: list[str]
    second: list[str]
    human: np.ndarray
    sha256: str


def read_pairs(path: Path) -> Judged:
    """Read lines of word1, word2, score, tab-separated; empty ones and # comments are skipped.

    Raises:
        InvalidTaskFile: the file is not there, or a line is malformed; names file and line.
    """
    lines, sha256 = read_lines(path, "word pairs")
    rows = [_parse_line(line, f"{path}:{number}") for number, line in lines]
    return Judged(
        first=[row[0] for row in rows],
        second=[row[1] for row in rows],
        human=np.array([row[2] for row in rows], np.float64),
        sha256=sha256,
    )


def _parse_line(line: bytes, where: str) -> tuple[str, str, float]:
    try:
        first, second, score = line.decode().split("\t")
        human = float(score)
    except ValueError as error:  # includes UnicodeDecodeError
        raise InvalidTaskFile(f"{where}: expected word1<TAB>word2<TAB>score, got {line[:80]!r}") from error
    if not (first.strip() and second.strip() and math.isfinite(human)):
        raise InvalidTaskFile(f"{where}: needs two words and a finite score, got {line[:80]!r}")
    return first.strip().lower(), second.strip().lower(), human


def pair_vectors(version: Version, pairs: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (W, D) of W distinct words, and each pair's two (n,) rows; -1 has no vector."""
    unit, row_of = known_words(version, pairs.first + pairs.second)
    first, second = (np.array([row_of[word] for word in side], np.int64) for side in (pairs.first, pairs.second))
    return unit, first, second


@dataclass(frozen=True, kw_only=True)
class WordSimilarity:
    """Spearman correlation of cosine and human judgement, where both words have a vector."""

    min_pairs: int = MIN_PAIRS

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score a file, metric `spearman_<file's name>`."""
        files = evaluation.files_of("word_similarity")
        if not files:
            raise Undefined("no file of judged word pairs was given")
        return [self._file_score(name, path, evaluation) for name, path in files.items()]

    def _file_score(self, name: str, path: Path, evaluation: Evaluation) -> Score:
        metric, seed = f"spearman_{name}", evaluation.seed
        pairs = read_pairs(path)
        unit, first, second = pair_vectors(evaluation.version, pairs)
        both = (first >= 0) & (second >= 0)
        human, first, second = pairs.human[both], first[both], second[both]
        cosine = np.einsum("nd,nd->n", unit[first], unit[second])
        reason = self._gap(path, len(pairs.human), human, cosine)
        used, left_out = len(human), len(pairs.human) - len(human)
        if reason:
            gap = Undefined(reason, rows_used=used, rows_left_out=left_out)
            return undefined_score(ID, metric, gap, seed=seed)
        found = statistics.estimate(
            partial(statistics.spearman, statistics.ranking(cosine), statistics.ranking(human)), used, seed=seed
        )
        return Score(
            task=ID,
            metric=metric,
            **vars(found),
            floor=_shuffled_floor(unit, first, second, human, seed=seed),
            rows_used=used,
            rows_left_out=left_out,
            seed=seed,
            details={
                "file": path.name,
                "sha256": pairs.sha256,
                "found": used,
                "pairs": len(pairs.human),
            },
        )

    def _gap(self, path: Path, total: int, human: np.ndarray, cosine: np.ndarray) -> str | None:
        """Why the pairs found give no correlation; None where they do."""
        if len(human) < self.min_pairs:
            found = f"{len(human)} of {total} pairs in {path.name} have vectors"
            return f"{found}; needs at least {self.min_pairs}"
        if np.ptp(human) == 0:
            return f"all {len(human)} pairs found in {path.name} have the human score {human[0]:g}"
        if np.ptp(cosine) < 1e-6:
            return f"all {len(human)} pairs found in {path.name} have the cosine {cosine[0]:.6f}"
        return None


def _shuffled_floor(unit: np.ndarray, first: np.ndarray, second: np.ndarray, human: np.ndarray, *, seed: int) -> float:
    """Mean correlation when the words found swap their vectors at random."""
    used = np.unique(np.concatenate([first, second]))

    def correlation(permutation: np.ndarray) -> float:
        swapped = np.zeros_like(unit)
        swapped[used] = unit[used[permutation]]
        return statistics.once(statistics.spearman, np.einsum("nd,nd->n", swapped[first], swapped[second]), human)

    return statistics.permuted_mean(correlation, len(used), seed=seed)


TASK = Task(
    id=ID,
    entity="word",
    score=WordSimilarity(),
    title="Word Similarity",
    headline="spearman*",
    metrics=("spearman",),
    about="Rank correlation of cosine with human similarity, for each given file of word pairs.",
)
