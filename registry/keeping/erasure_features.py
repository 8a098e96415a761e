"""Erase keys from feature sets: each publication that holds them is replaced, and counts from when the old one did."""

import pyarrow as pa

from registry.features.sets import FeatureDraft, FeatureSet, SetPlace, open_features, publications, publish_features
from registry.keeping.garbage import bury, bury_all, unneeded_features
from registry.logs.catalog import Catalog
from registry.publishing.cut import Unwanted
from registry.records import FileDigest


def erase_features(catalog: Catalog, place: SetPlace, unwanted: Unwanted) -> tuple[list[str], list[str]]:
    """Replace the publications of one set that hold unwanted values, and remove the files that no longer count.

    Returns:
        Paths of the files that went, and of those that somebody was about to publish all the while.
    """
    waiting = bury_all(catalog, place, lambda: [one for one, named in unneeded_features(catalog, place) if not named])
    for published in publications(catalog, place):
        table = _read(catalog, published)
        kept = ~unwanted.rows(place.entity, table.column("key"))
        cut = unwanted.without(table if kept.all() else table.filter(pa.array(kept)))
        if cut is not table:
            _replace(catalog, published, cut)
    named_files = {entry["attempt"]: FileDigest(**entry["file"]) for entry in catalog.log(place.log).entries()}
    gone = [one for one, named in unneeded_features(catalog, place) if named or bury(catalog, place, one)]
    for one in gone:
        if one in named_files:
            catalog.storage.forget(named_files[one])
        catalog.storage.remove(place.file(one))
    return [place.file(one) for one in gone], [place.file(one) for one in waiting if one not in gone]


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
