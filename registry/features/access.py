"""Features of entities as they were known at a moment: raw, derived and learned, in one Arrow table.

In: rows with a key and, if they have one, a moment; names of features. Out: the rows with a column a feature.
Every value is the one that had been published by then, so a model is trained on what it would have been served.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from registry.errors import InvalidQuery, SpaceMismatch, UnknownFeature, UnknownKey
from registry.features.join import find_as_of, gather, means_seen
from registry.features.sets import KINDS, SetPlace, newest_sets, open_features, publications
from registry.layout import Place, Reference, Selector
from registry.logs.catalog import Catalog
from registry.logs.moments import Timeline, micros, newest_over_time
from registry.logs.resolve import alias_moves, known_versions, readable, resolve
from registry.reader import Version
from registry.records import Tombstone, VersionInfo

MissingFeature = Literal["null", "zero", "mean", "raise"]
LEARNED = "learned"

#: The columns that one asked feature becomes, each with its name.
Columns = list[tuple[str, pa.ChunkedArray | pa.Array]]


@dataclass(frozen=True)
class Source:
    """What a join reads: the registry's records, and how a version is opened."""

    catalog: Catalog
    open: Callable[[VersionInfo], Version]

    def timeline(self, reference: str) -> Timeline[VersionInfo]:
        """Which version a reference gave, and since when; raises what `resolve` raises."""
        wanted = Reference.parse(reference)
        infos = {info.number: info for info in known_versions(self.catalog, wanted.place)}
        if wanted.selector.alias:
            moves = alias_moves(self.catalog, wanted.place, wanted.selector.alias)
            return Timeline.of((move.promoted_at, infos[move.version]) for move in moves)
        if wanted.selector == Selector(week=wanted.selector.week):
            week = wanted.selector.week
            gone = self.catalog.tombstones(wanted.place)
            left = [info for info in infos.values() if week in (None, info.week) and _has_keys(info.number, gone)]
            if left:
                return newest_over_time(left)
        one = resolve(self.catalog, reference)
        return Timeline.of([(one.published_at, one)])

    def read(self, info: VersionInfo) -> Version:
        """The version, or what took its place when keys were erased from it; raises Retired or Erased."""
        place = Place(info.entity, info.name)
        number = self.catalog.stand_in(place, info.number)
        return self.open(readable(self.catalog, place, info.number if number is None else number))


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The rows of one question.

    Attributes:
        entity: entity type of the keys.
        keys: (Q,) string.
        moments: (Q,) int64 microseconds since 1970, UTC.
        missing: what a row without a value gets.
        max_age: how old what it sees may be at the row's moment; None for any age.
    """

    entity: str
    keys: pa.StringArray
    moments: np.ndarray
    missing: MissingFeature
    max_age: dt.timedelta | None

    def fresh(self, timeline: Timeline[Any], at: np.ndarray) -> np.ndarray:
        """(Q,) index `at` into the timeline, -1 where that item is older than `max_age`."""
        if self.max_age is None or not len(timeline.since):
            return at
        age = self.moments - timeline.since[np.maximum(at, 0)]
        return np.where(age > self.max_age // dt.timedelta(microseconds=1), -1, at)


def _has_keys(number: int, gone: Mapping[int, Tombstone]) -> bool:
    """Whether erasures left a version a key; where they did not, whatever was the newest before it counts."""
    while number in gone and gone[number].kind == "erased":
        replaced_by = gone[number].replaced_by
        if replaced_by is None:
            return False
        number = replaced_by
    return True


def join_features(source: Source, rows: pa.Table, asked: Asked, features: Sequence[str]) -> pa.Table:
    """`rows` with the columns of `features` beside them; see `Store.features`."""
    if isinstance(features, str) or not features:
        raise InvalidQuery(f"features is {features!r:.80}; give a list of names, such as ['derived.activity.tweets']")
    for feature in features:
        for name, column in _columns(source, asked, feature):
            if name in rows.column_names:
                raise InvalidQuery(f"column {name!r} would be there twice; ask for each feature once")
            rows = rows.append_column(name, column)
    return rows


def as_rows(rows: Any, entity: str) -> tuple[pa.Table, pa.StringArray]:
    """What the caller gave as an Arrow table, and its keys, from column `<entity>` or `key`.

    Raises:
        InvalidQuery: it is no table, has no such column, or a key is null or no text.
    """
    if isinstance(rows, list | tuple | pa.Array | pa.ChunkedArray):
        rows = {entity: rows}
    try:
        table = rows if isinstance(rows, pa.Table) else pa.table(rows)
    except (TypeError, ValueError, pa.ArrowInvalid) as error:
        kind = type(rows).__name__
        raise InvalidQuery(f"rows are {kind}; give a list of keys, or an Arrow, pandas or polars table") from error
    name = entity if entity in table.column_names else "key"
    if name not in table.column_names:
        there = ", ".join(table.column_names)
        raise InvalidQuery(f"rows have no column {entity!r} or 'key'; their columns are {there}")
    try:
        keys = table[name].cast(pa.string()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidQuery(f"the keys in column {name!r} are {table[name].type}; give text: {error}") from error
    if keys.null_count:
        raise InvalidQuery(f"the key of row {keys.is_null().index(True).as_py()} is null")
    return table, keys


def moments_of(rows: pa.Table, as_of: str | dt.datetime | None) -> np.ndarray:
    """(Q,) int64 microseconds: a column of `rows`, one moment for all, or now.

    Raises:
        InvalidQuery: the column holds no timestamps or a null, or the text is neither column nor moment.
    """
    if not isinstance(as_of, str) or as_of not in rows.column_names:
        return np.full(len(rows), micros(dt.datetime.now(dt.UTC) if as_of is None else as_of), np.int64)
    column = rows[as_of]
    if not pa.types.is_timestamp(column.type):
        raise InvalidQuery(f"column {as_of!r} is {column.type}; as_of needs timestamps")
    if column.null_count:
        raise InvalidQuery(f"column {as_of!r} has {column.null_count} nulls; every row needs its moment")
    return np.asarray(column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64()))


def check_missing(missing: str) -> None:
    """Refuse a policy that does not exist; raises InvalidQuery."""
    if missing not in get_args(MissingFeature):
        raise InvalidQuery(f"missing is {missing!r:.80}; use one of {', '.join(get_args(MissingFeature))}")


def _columns(source: Source, asked: Asked, feature: str) -> Columns:
    kind, dot, rest = str(feature).partition(".")
    if not dot or kind not in (*KINDS, LEARNED):
        forms = "raw.<set>[.<column>], derived.<set>[.<column>], learned.<embedding>[@...]"
        raise InvalidQuery(f"feature {feature!r:.80} is none of {forms}")
    if kind == LEARNED:
        return [(feature, _learned(source, asked, rest))]
    name, _, column = rest.partition(".")
    return _published(source, asked, f"{kind}.{name}", column)


def _published(source: Source, asked: Asked, reference: str, column: str) -> Columns:
    """One column of a raw or derived set, or all of them."""
    place = SetPlace(asked.entity, *reference.split(".", 1))
    published = publications(source.catalog, place)
    if not published:
        sets = ", ".join(one.reference for one in newest_sets(source.catalog, asked.entity)) or "none"
        raise UnknownFeature(f"{asked.entity!r} has no feature set {reference!r}; it has {sets}")
    known = list(dict.fromkeys(name for one in published for name in one.columns))
    if column and column not in known:
        raise UnknownFeature(f"{reference} of {asked.entity!r} has no column {column!r}; it has {', '.join(known)}")
    timeline = newest_over_time(published)
    paths = [open_features(source.catalog.storage, one) for one in timeline.items]
    seen = timeline.at(asked.moments)
    ordinals, places = find_as_of(asked.keys, seen, paths)
    ordinals = asked.fresh(timeline, ordinals)

    def filled(name: str) -> pa.ChunkedArray:
        values = gather(paths, name, ordinals, places)
        return _fill(asked, f"{reference}.{name}", values, lambda: means_seen(paths, name, seen))

    return [(f"{reference}.{name}", filled(name)) for name in ([column] if column else known)]


def _fill(asked: Asked, name: str, values: pa.ChunkedArray, means: Callable[[], pa.Array]) -> pa.ChunkedArray:
    """`values` with their nulls treated as `asked.missing` says."""
    import pyarrow.compute as pc

    if not values.null_count or asked.missing == "null":
        return values
    if asked.missing == "raise":
        raise _lacking(asked, name, np.asarray(values.is_null()))
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise InvalidQuery(f"missing={asked.missing!r} needs numbers, {name} is {values.type}; use 'null' or 'raise'")
    if asked.missing == "zero":
        return pc.fill_null(values, pa.scalar(0, values.type))
    return pc.fill_null(values.cast(pa.float64()), means())


def _learned(source: Source, asked: Asked, embedding: str) -> pa.Array:
    """(Q,) FixedSizeList<float32>: vectors of the version that the reference gave at each row's moment."""
    timeline = source.timeline(f"{asked.entity}/{embedding}")
    at = asked.fresh(timeline, timeline.at(asked.moments))
    infos = {int(one): timeline.items[one] for one in np.unique(at[at >= 0])}
    _check_one_space(asked, embedding, list(infos.values()))
    dim = max((info.dim for info in infos.values()), default=timeline.items[-1].dim)
    vectors = np.zeros((len(asked.keys), dim), np.float32)
    found = np.zeros(len(asked.keys), bool)
    fill: Any = "mean" if asked.missing == "mean" else "mask"
    for one, info in infos.items():
        rows = np.flatnonzero(at == one)
        version, keys = source.read(info), asked.keys.take(pa.array(rows))
        vectors[rows], found[rows] = version.lookup(keys, missing="mask")
        if fill == "mean":
            vectors[rows] = version.lookup(keys, missing="mean")
            found[rows] = True
    if asked.missing == "raise" and not found.all():
        raise _lacking(asked, f"{LEARNED}.{embedding}", ~found)
    mask = None if asked.missing == "zero" else pa.array(~found)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim, mask=mask)


def _check_one_space(asked: Asked, embedding: str, infos: list[VersionInfo]) -> None:
    spaces = {info.space for info in infos}
    if len(spaces) > 1:
        numbers = ", ".join(f"v{info.number}" for info in infos)
        raise SpaceMismatch(
            f"the rows' moments span {len(spaces)} spaces of {asked.entity}/{embedding} ({numbers}), and vectors of two"
            f" spaces mean nothing side by side; ask for one version, such as {LEARNED}.{embedding}@v{infos[-1].number}"
        )


def _lacking(asked: Asked, name: str, missing: np.ndarray) -> UnknownKey:
    rows = np.flatnonzero(missing)
    shown = ", ".join(repr(asked.keys[int(row)].as_py())[:80] for row in rows[:5])
    return UnknownKey(
        f"{len(rows)} of {len(missing)} rows have no {name} at their moment: {shown}{', ...' if len(rows) > 5 else ''};"
        " take missing='null', 'zero' or 'mean'"
    )
