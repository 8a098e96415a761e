"""Which rows are refused and why: typed errors, reasons, and who was refused.

Faults of a *row* never stop a source; they are collected in `Faults` and end in the quarantine.
Faults of a *source* (its settings, a file that cannot be read) raise:

    SourceError
    ├── InvalidSetting   the source.toml, or an environment variable, says something impossible
    ├── MissingFile      a path or pattern that matches no file
    ├── MissingColumn    a column that is named, or required, and not in the file
    ├── UnknownTable     a table that the source does not have
    └── UnreadableFile   a truncated archive, a damaged Parquet file, a changing one
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum

import numpy as np
import pyarrow as pa

#: Longest line (or CSV record, or text cell), bytes.
MAX_RECORD_BYTES = 1 << 20
#: Longest id or label, bytes of UTF-8.
MAX_KEY_BYTES = 256
#: How much of a line over `MAX_RECORD_BYTES` the quarantine keeps, bytes.
KEPT_BYTES = 4096


class SourceError(ValueError):
    """Base of what a source raises; the message names the file, the table and the field."""


class InvalidSetting(SourceError):  # noqa: N818 - reads as what it is
    """A setting of a source that cannot be."""


class MissingFile(SourceError):  # noqa: N818
    """No file where the settings say one is."""


class MissingColumn(SourceError):  # noqa: N818
    """A column is named by the settings, or required by the event table, and not in the file."""


class UnknownTable(SourceError):  # noqa: N818
    """The source has no such event table."""


class UnreadableFile(SourceError):  # noqa: N818
    """A file's bytes cannot be trusted as a whole; nothing of it was accepted."""


class Reason(StrEnum):
    """Why a row was refused; free of values, so that equal faults can be counted together."""

    LINE_TOO_LONG = "line longer than 1 MB"
    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    NOT_OBJECT = "not a JSON object"
    REPEATED_KEY = "key given twice"
    TOO_DEEP = "nested too deeply"
    FIELD_COUNT = "wrong number of fields"
    BAD_QUOTE = "text after a closing quote"
    OPEN_QUOTE = "quote never closed"
    NUL = "NUL character"
    MISSING = "missing"
    NESTED = "list or object where one value belongs"
    NOT_TEXT = "not text"
    BOOLEAN = "true or false as an id"
    FRACTION = "fractional number as an id"
    TOO_LONG = "longer than 256 bytes"
    TEXT_TOO_LONG = "longer than 1 MB"
    INVISIBLE = "control, bidi or zero-width character in an id"
    NOT_TIME = "not a time (ISO 8601)"
    TIME_RANGE = "time outside 1990 to 2099"
    NOT_NUMBER = "not a number"
    NOT_FINITE = "not a finite number"
    NOT_POSITIVE = "not finite and above 0"
    DUPLICATE_ID = "duplicate tweet_id"


class Faults:
    """The first fault of each of N rows, set column by column.

    Example:
        >>> faults = Faults(2)
        >>> faults.reject(np.array([False, True]), "weight", Reason.NOT_POSITIVE)
        >>> faults.bad.tolist(), faults.reasons().to_pylist()
        ([False, True], [None, 'not finite and above 0'])
    """

    def __init__(self, rows: int) -> None:
        self._codes = np.zeros(rows, np.int32)
        self._kinds: dict[tuple[str | None, Reason], int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def bad(self) -> np.ndarray:
        """(N,) bool, True where the row is refused."""
        return self._codes > 0

    def reject(self, where: np.ndarray, field: str | None, reason: Reason) -> None:
        """Refuse the rows `where`, (N,) bool; an earlier fault of a row stands."""
        if where.any():
            self._codes[where & ~self.bad] = self._code(field, reason)

    def reject_row(self, row: int, field: str | None, reason: Reason) -> None:
        """Refuse one row; an earlier fault stands."""
        self._codes[row] = self._codes[row] or self._code(field, reason)

    def _code(self, field: str | None, reason: Reason) -> int:
        return self._kinds.setdefault((field, reason), len(self._kinds) + 1)

    def fields(self) -> pa.Array:
        """(N,) string: the field at fault; null for a fault of the whole row and for good rows."""
        return self._lookup([field for field, _ in self._kinds])

    def reasons(self) -> pa.Array:
        """(N,) string: why the row is refused; null for good rows."""
        return self._lookup([str(reason) for _, reason in self._kinds])

    def _lookup(self, values: list[str | None]) -> pa.Array:
        return pa.array([None, *values], pa.string()).take(pa.array(self._codes))


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: close matches of `word`, or else everything known."""
    names = sorted(known)
    close = get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(repr(name) for name in close)}?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"known: {shown or 'none'}"
