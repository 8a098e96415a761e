"""Analogies: is the word nearest to b - a + c the d that people expect? One score for each file of questions.

Source: Mikolov, Yih and Zweig, Linguistic Regularities in Continuous Space Word Representations, 2013.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import statistics
from benchmarks.neighborhoods import CELLS, sample_rows
from benchmarks.task import Evaluation, InvalidTaskFile, Task, Undefined, undefined_score
from benchmarks.words import read_lines
from registry.judging.align import unit_rows
from registry.reader import Version
from registry.records import Score

ID = "analogy.v1"
TASK_FILES = "analogy"


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """Lines `a b c d`: a is to b as c is to d.

    Attributes:
        words: (n, 4) of str, lower-cased as the corpus is.
        sections: (n,) of str, the `: section` line above; empty where there is none.
        sha256: of the file's bytes.
    """

    words: list[tuple[str, str, str, str]]
    sections: list[str]
    sha256: str


def read_questions(path: Path) -> Questions:
    """Read lines of four words; `: name` begins a section, empty lines and # comments are skipped.

    Raises:
        InvalidTaskFile: the file is not there, or a line is malformed; names file and line.
    """
    lines, sha256 = read_lines(path, "analogy questions")
    words, sections, section = [], [], ""
    for number, line in lines:
        try:
            parts = line.decode().lower().split()
        except UnicodeDecodeError as error:
            raise InvalidTaskFile(f"{path}:{number}: expected UTF-8, got {line[:80]!r}") from error
        if parts[0].startswith(":"):
            section = " ".join(parts).removeprefix(":").strip()
        elif len(parts) == 4:
            words.append(tuple(parts))
            sections.append(section)
        else:
            raise InvalidTaskFile(f"{path}:{number}: expected four words or `: section`, got {line[:80]!r}")
    return Questions(words=words, sections=sections, sha256=sha256)


@dataclass(frozen=True, kw_only=True)
class Analogy:
    """Share of the questions whose d is the nearest key to b - a + c by cosine; a, b and c may not be answers.

    Attributes:
        min_questions: whose four words have vectors, that a value needs.
        questions: sampled where there are more; answers are searched among all keys.
    """

    min_questions: int = 10
    questions: int = 2000

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score a file, metric `accuracy_<file's name>`."""
        files = evaluation.files_of(TASK_FILES)
        if not files:
            raise Undefined("no file of analogy questions was given")
        unit = unit_rows(evaluation.version.numpy())
        return [self._file_score(f"accuracy_{name}", path, evaluation, unit) for name, path in files.items()]

    def _file_score(self, metric: str, path: Path, evaluation: Evaluation, unit: np.ndarray) -> Score:
        questions, seed = read_questions(path), evaluation.seed
        rows = question_rows(evaluation.version, questions, unit)
        known = np.flatnonzero((rows >= 0).all(axis=1))
        if len(known) < self.min_questions:
            gap = Undefined(
                f"{len(known)} of {len(rows)} questions in {path.name} have four words with a vector; "
                f"needs at least {self.min_questions}",
                rows_used=len(known),
                rows_left_out=len(rows) - len(known),
            )
            return undefined_score(ID, metric, gap, seed=seed)
        asked = known[sample_rows(len(known), self.questions, seed)]
        a, b, c, _ = rows[asked].T
        right = answers(unit, unit[b] - unit[a] + unit[c], rows[asked]).astype(np.float64)
        sections = np.array(questions.sections)[asked]
        return Score(
            task=ID,
            metric=metric,
            **vars(statistics.estimate(partial(statistics.mean, right), len(right), seed=seed)),
            # What is near c alone answers many questions: a relation is shown by what lies above this.
            floor=float(answers(unit, unit[c], rows[asked]).mean()),
            rows_used=len(asked),
            rows_left_out=len(rows) - len(known),
            seed=seed,
            details={
                "protocol": "3CosAdd among all keys; the floor answers with the key nearest to c",
                "file": path.name,
                "sha256": questions.sha256,
                "known": len(known),
                "by_section": {
                    section: {"asked": count, "accuracy": float(right[sections == section].mean())}
                    for section, count in sorted(Counter(sections.tolist()).items())
                },
            },
        )


def question_rows(version: Version, questions: Questions, unit: np.ndarray) -> np.ndarray:
    """(n, 4) int64 row of each word in the version; -1 for one without a vector or with a zero one."""
    flat = [word for question in questions.words for word in question]
    rows = version.rows(flat) if flat else np.empty(0, np.int64)
    usable = (rows >= 0) & unit[np.maximum(rows, 0)].any(axis=1)
    return np.where(usable, rows, -1).reshape(-1, 4)


def answers(unit: np.ndarray, wanted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(Q,) bool whether the row nearest to each of (Q, D) vectors, but for a, b and c, is d; rows are (Q, 4)."""
    right = np.empty(len(rows), bool)
    step = max(1, CELLS // len(unit))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        cosine = wanted[start : start + step] @ unit.T
        np.put_along_axis(cosine, part[:, :3], -np.inf, axis=1)
        right[start : start + step] = cosine.argmax(axis=1) == part[:, 3]
    return right


TASK = Task(
    id=ID,
    entity="word",
    score=Analogy(),
    title="Analogies",
    headline="accuracy*",
    metrics=("accuracy",),
    about="Share of questions `a is to b as c is to ?` that the nearest word answers, for each given file.",
)
