"""A registry: every embedding under one root, found by reference."""

from pathlib import Path
from typing import Any

from registry.errors import InvalidQuery
from registry.keeping.verification import verify
from registry.layout import Place
from registry.logs.resolve import readable
from registry.logs.scores import record_score
from registry.publishing.writer import publish
from registry.reader import Version
from registry.records import Draft, Score, Verification, VersionInfo
from registry.storage.bucket import open_bucket
from registry.storage.local import LocalStorage
from registry.store_features import Featuring
from registry.store_promotion import Promoting
from registry.store_retention import Retaining


def open_registry(root: str | Path, **options: Any) -> "Store":
    """The registry in a local folder or a bucket; a missing one is empty, and made by the first publish.

    >>> store = open_registry("data/registry")          # doctest: +SKIP
    >>> store["word/word@latest"].neighbors("jax", k=3) # doctest: +SKIP
    >>> store = open_registry("s3://bucket/registry")   # doctest: +SKIP

    Args:
        root: a folder, or a URL such as `s3://bucket/prefix`, which needs the extra `s3`.
        options: for a URL only: `cache`, the folder for copies of what is read, and options of its fsspec
            filesystem, such as `key`, `secret` and `endpoint_url`; by default they come from the environment.

    Raises:
        InvalidName: the root is a file, a URL that names no place, or a store that cannot create exclusively.
        InvalidQuery: options were given for a folder.
        MissingExtra: the library for the URL is not installed.
    """
    if "://" in str(root):
        return Store(open_bucket(str(root), **options))
    if options:
        raise InvalidQuery(f"{root!s:.80} is a folder and takes no options; got {', '.join(sorted(options))}")
    return Store(LocalStorage(root))


class Store(Promoting, Retaining, Featuring):
    """All embeddings of one root. Cheap to make, and safe to use from several processes at once.

    `store["entity/name"]` is the newest version: the one of the newest data week and, where a week
    was published more than once, the last of them. A backfill of old weeks therefore does not move
    `@latest`.
    """

    def publish(self, draft: Draft) -> Version:
        """Make the draft the next version of its embedding.

        A draft whose `created_by` already published that week returns the version made then,
        whatever its vectors: that is how a retried or a zombie run is kept from publishing twice.
        Leave `created_by` None, or give each run its own, to publish again.

        Raises:
            InvalidName: entity or name may not become a folder.
            InvalidEmbedding: something in the draft is wrong; the message names the key or field.
            Conflict: `gc` took the attempt for left over while this process slept; publish again.
            Retired: the version that this publisher made earlier is gone; or Erased.
            OSError: the disk failed or is full.
        """
        place = Place(draft.entity, draft.name)
        entry = publish(draft, self._catalog.storage, self._catalog.log(place.log))
        return self._open(readable(self._catalog, place, entry["number"]))

    def add_score(self, version: Version | VersionInfo, score: Score, *, created_by: str | None = None) -> None:
        """Record one benchmark result beside a version, for good.

        Once per `created_by`, task and metric: a retried step does not count double. With
        `created_by` None every call adds a result; readers see the newest of each task and metric.

        Raises:
            InvalidScore: a number is not finite, value and `undefined` contradict each other, or the
                version is of another registry.
            Erased: the version was replaced, and the score would be lost; or Retired.
        """
        record_score(self._catalog, version, score, created_by)

    def verify(self) -> Verification:
        """Read everything: each log entry, each score, each file of each version."""
        return verify(self._catalog, self._open)
