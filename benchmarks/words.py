"""Files of human judgement about words: their lines, and where their words are in a version."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.task import InvalidTaskFile
from registry.judging.align import unit_rows
from registry.reader import Version


class JudgedLines(NamedTuple):
    """The lines of a file that say something.

    Attributes:
        lines: (line number, bytes) without empty lines and `#` comments.
        sha256: of the file's bytes, so that a score says which data it rests on.
    """

    lines: list[tuple[int, bytes]]
    sha256: str


def read_lines(path: Path, what: str) -> JudgedLines:
    """Read a file of judgements.

    Raises:
        InvalidTaskFile: the file is not there.
    """
    if not path.is_file():
        raise InvalidTaskFile(f"{path}: no such file of {what}")
    raw = path.read_bytes()
    return JudgedLines(list(_said(raw.removeprefix(b"\xef\xbb\xbf"))), hashlib.sha256(raw).hexdigest())


def _said(raw: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(raw.splitlines(), start=1):
        if line.strip() and not line.startswith(b"#"):
            yield number, line


def known_words(version: Version, words: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Unit vectors (W, D) of W distinct words, and each word's row; -1 has no vector."""
    distinct = list(dict.fromkeys(words))
    vectors, found = version.lookup(distinct, missing="mask")
    unit = unit_rows(vectors)  # zero where not found
    known = found & unit.any(axis=1)
    return unit, {word: row if known[row] else -1 for row, word in enumerate(distinct)}
