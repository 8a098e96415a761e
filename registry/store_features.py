"""The feature half of a store: publish feature sets, join them to rows at a point in time."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from registry.features.access import Asked, MissingFeature, Source, as_rows, check_missing, join_features, moments_of
from registry.features.sets import FeatureDraft, FeatureSet, SetPlace, newest_sets, publish_features
from registry.store_reading import Reading


class Featuring(Reading):
    """Publishes and joins feature sets beside the embeddings."""

    def publish_features(self, draft: FeatureDraft) -> FeatureSet:
        """Make the table the next publication of its feature set; a retry gets the one it made before.

        Raises:
            InvalidName: entity or name may not become a folder.
            InvalidFeatures: the table has no such key column, no feature, or a column of an unfit name.
            InvalidEmbedding: a key is empty, repeated or too long.
            OSError: the disk failed or is full; nothing was published.
        """
        log = self._catalog.log(SetPlace(draft.entity, draft.kind, draft.name).log)
        return publish_features(draft, self._catalog.storage, log)

    def feature_sets(self, entity: str | None = None) -> list[FeatureSet]:
        """The newest publication of every raw and derived feature set: its columns, week and size."""
        return newest_sets(self._catalog, entity)

    def features(
        self,
        entity: str,
        rows: Any,
        features: Sequence[str],
        *,
        as_of: str | dt.datetime | None = None,
        missing: MissingFeature = "null",
        max_age: dt.timedelta | None = None,
    ) -> pa.Table:
        """Rows with features beside them, each as it was published at the row's moment.

        >>> store.features("user", ["u1", "u2"], ["derived.activity.tweets", "raw.topics"])     # doctest: +SKIP

        Args:
            entity: entity type of the keys.
            rows: a list of keys, or a table (Arrow, pandas, polars, dict of columns) with the keys in the column
                `<entity>` or `key`.
            features: `raw.<set>[.<column>]`, `derived.<set>[.<column>]`, or `learned.<embedding>[@...]`, which gives
                vectors; a set without a column gives all of its columns. `@production` is what the alias named then.
            as_of: a column of timestamps in `rows`, or one moment for all rows; None is now. Without a zone it is UTC.
            missing: what a row gets that has no value at its moment: `null`, `zero`, `mean` (over all entities of
                the publication it sees), or `raise`.
            max_age: how old a publication may be at the row's moment; None for any age. A key that the newest
                publication lacks is looked for in the ones before it.

        Returns:
            The columns of `rows` and one a feature, in the order of `rows`; vectors are FixedSizeList<float32>.

        Raises:
            InvalidQuery: `rows`, `features`, `as_of` or `missing` cannot be understood.
            UnknownFeature: there is no such set or column; or UnknownEmbedding.
            UnknownKey: a row has no value, and `missing` is `raise`.
            SpaceMismatch: the moments span versions whose vectors may not be compared.
            Corrupt: a file was altered.
        """
        check_missing(missing)
        table, keys = as_rows(rows, entity)
        asked = Asked(entity=entity, keys=keys, moments=moments_of(table, as_of), missing=missing, max_age=max_age)
        return join_features(Source(self._catalog, self._open), table, asked, features)
