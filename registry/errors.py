"""Everything that the registry raises, as one tree.

RegistryError
├── InvalidName          a name, key or path that is not allowed
├── BadReference         text that is not `entity/name[@version]`
├── NotFound
│   ├── UnknownEmbedding   no such entity/name; the message lists close matches
│   ├── UnknownFeature     no such feature set or column of this entity
│   ├── UnknownTask        no score of such a benchmark task; the message lists close matches
│   ├── UnknownVersion     no such version or week, or nothing was published by that moment
│   ├── AliasNotFound      an alias that never was set; the message lists those there are
│   ├── Retired            the version's files went by a retention policy; says when and why
│   ├── Erased             the version was replaced by one without some keys; says when and why
│   └── UnknownKey         a key without a vector, where `missing="raise"`
├── InvalidEmbedding     vectors or keys that may not be published
├── InvalidFeatures      a feature set that may not be published
├── InvalidScore         a score that may not be recorded
├── InvalidQuery         a query that has no answer: NaN, wrong width, k out of range
├── InvalidPromotion     a promotion that is not allowed to be tried: forced without a reason
├── GateFailed           a promotion that its gates refuse; lists every gate with its numbers
├── SpaceMismatch        vectors of two spaces, which must not be compared unaligned
├── TargetExists         an export would overwrite a file
├── MissingExtra         an optional library is not installed; the message names the extra
├── Corrupt              bytes on disk differ from the manifest
└── Conflict             another writer won
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.records_promotion import GateResult


class RegistryError(Exception):
    """Base of all errors of this package."""


class InvalidName(RegistryError, ValueError):  # noqa: N818 - reads as what it is
    """A name, key or path that the registry does not allow."""


class BadReference(RegistryError, ValueError):  # noqa: N818
    """Text that is not a reference `entity/name[@latest | @vN | @<week> | @<alias> | @<timestamp>]`."""


class NotFound(RegistryError, KeyError):  # noqa: N818
    """Something asked for by name is not there."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0]) if self.args else ""


class UnknownEmbedding(NotFound):
    """No embedding of that entity and name."""


class UnknownVersion(NotFound):
    """The embedding exists, the version asked for does not."""


class UnknownFeature(NotFound):
    """The entity has no such feature set, or the set no such column."""


class UnknownTask(NotFound):
    """None of the versions compared has a score of that benchmark task."""


class AliasNotFound(NotFound):
    """The embedding exists, the alias was never set on it."""


class Retired(NotFound):
    """The version's files were removed by a retention policy; its log entry stays."""


class Erased(NotFound):
    """The version's files were removed because they held keys that were erased."""


class UnknownKey(NotFound):
    """A key has no vector in this version."""


class InvalidEmbedding(RegistryError, ValueError):  # noqa: N818
    """Vectors, keys or attributes that may not be published."""


class InvalidFeatures(RegistryError, ValueError):  # noqa: N818
    """A feature set without a key column or features, or with columns of unfit names."""


class InvalidScore(RegistryError, ValueError):  # noqa: N818
    """A score whose fields contradict each other or are not JSON numbers."""


class InvalidQuery(RegistryError, ValueError):  # noqa: N818
    """A query that has no meaningful answer."""


class InvalidPromotion(RegistryError, ValueError):  # noqa: N818
    """A promotion or rollback that is not allowed to be tried, whatever its gates would say."""


class GateFailed(RegistryError):  # noqa: N818
    """At least one gate refused a promotion; the alias was not moved.

    Args:
        message: one line that lists every gate with its numbers.
        results: what each gate said, those that passed included.
    """

    def __init__(self, message: str, results: "tuple[GateResult, ...]" = ()) -> None:
        super().__init__(message)
        self.results = results


class SpaceMismatch(RegistryError, ValueError):  # noqa: N818
    """Vectors of two spaces were to be compared; a retrain turns every axis, so the answer would be noise."""


class TargetExists(RegistryError, FileExistsError):  # noqa: N818
    """An export would overwrite a file; pass `overwrite=True` or choose another path."""


class MissingExtra(RegistryError, ImportError):  # noqa: N818
    """An optional library is not installed, or does not import; the message names the extra."""


class Corrupt(RegistryError):  # noqa: N818
    """A file is missing, truncated or altered; it was not opened."""


class Conflict(RegistryError):  # noqa: N818
    """Another writer took the number first; read again and retry."""
