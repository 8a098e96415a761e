"""What the table steps raise; all are ValueErrors, since the cause is always in the input.

TableError
├── EmptyWindow    a window of no weeks
├── WeekMismatch   counts and vocabulary do not cover the same weeks
├── IdCollision    two keys share one stable id
└── InvalidTriples triples without a key, or with an impossible weight
"""


class TableError(ValueError):
    """Base of everything that `embedding_assets.tables` raises."""


class EmptyWindow(TableError):  # noqa: N818 - reads as what it is
    """A window was asked for without a single week."""


class WeekMismatch(TableError):  # noqa: N818
    """The weeks of the counts are not the weeks of the vocabulary."""


class IdCollision(TableError):  # noqa: N818
    """Two keys have the same 60-bit id; their counts could no longer be told apart."""


class InvalidTriples(TableError):  # noqa: N818
    """Sources, destinations and weights that do not make a table; the message names the row."""
