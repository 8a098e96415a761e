"""Everything that the registry raises, as one tree.

RegistryError
├── InvalidName          a name, key or path that is not allowed
├── BadReference         text that is not `entity/name[@version]`
├── NotFound
│   ├── UnknownEmbedding   no such entity/name; the message lists close matches
│   ├── UnknownVersion     no such version, week, alias or moment
│   └── UnknownKey         a key without a vector, where `missing="raise"`
├── InvalidEmbedding     vectors or keys that may not be published
├── InvalidScore         a score that may not be recorded
├── InvalidQuery         a query that has no answer: NaN, wrong width, k out of range
├── Corrupt              bytes on disk differ from the manifest
└── Conflict             another writer won
"""


class RegistryError(Exception):
    """Base of all errors of this package."""


class InvalidName(RegistryError, ValueError):  # noqa: N818 - reads as what it is
    """A name, key or path that the registry does not allow."""


class BadReference(RegistryError, ValueError):  # noqa: N818
    """Text that is not a reference `entity/name[@latest | @vN | @<week>]`."""


class NotFound(RegistryError, KeyError):  # noqa: N818
    """Something asked for by name is not there."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0]) if self.args else ""


class UnknownEmbedding(NotFound):
    """No embedding of that entity and name."""


class UnknownVersion(NotFound):
    """The embedding exists, the version asked for does not."""


class UnknownKey(NotFound):
    """A key has no vector in this version."""


class InvalidEmbedding(RegistryError, ValueError):  # noqa: N818
    """Vectors, keys or attributes that may not be published."""


class InvalidScore(RegistryError, ValueError):  # noqa: N818
    """A score whose fields contradict each other or are not JSON numbers."""


class InvalidQuery(RegistryError, ValueError):  # noqa: N818
    """A query that has no meaningful answer."""


class Corrupt(RegistryError):  # noqa: N818
    """A file is missing, truncated or altered; it was not opened."""


class Conflict(RegistryError):  # noqa: N818
    """Another writer took the number first; read again and retry."""
