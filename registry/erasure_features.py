"""Erase keys from feature sets: each publication that holds them is replaced, and counts from when the old one did."""

import pyarrow as pa

from registry.catalog import Catalog
from registry.cut import Unwanted
from registry.feature_sets import FeatureDraft, FeatureSet, SetPlace, open_features, publications, publish_features
from registry.garbage import bury, unneeded_features


def erase_features(catalog: Catalog, place: SetPlace, unwanted: Unwanted) -> list[str]:
    """Replace the publications of one set that hold unwanted values, and remove the files that no longer count.

    Returns:
        Paths of the files that went.
    """
    for published in publications(catalog, place):
        table = _read(catalog, published)
        kept = ~unwanted.rows(place.entity, table.column("key"))
        cut = unwanted.without(table if kept.all() else table.filter(pa.array(kept)))
        if cut is not table:
            _replace(catalog, published, cut)
    gone = [place.file(one) for one, named in unneeded_features(catalog, place) if named or bury(catalog, place, one)]
    for path in gone:
        catalog.storage.remove(path)
    return gone


def _read(catalog: Catalog, published: FeatureSet) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(open_features(catalog.storage, published))


def _replace(catalog: Catalog, published: FeatureSet, cut: pa.Table) -> None:
    draft = FeatureDraft(
        entity=published.entity,
        kind=published.kind,
        name=published.name,
        table=cut,
        key="key",
        week=published.week,
        lineage=published.lineage,
        created_by=f"erasure from {published.attempt}",  # a retry after a crash finds what was published
    )
    place = SetPlace(published.entity, published.kind, published.name)
    publish_features(draft, catalog.storage, catalog.log(place.log), replaces=published.number)
    catalog.storage.forget(published.file)
