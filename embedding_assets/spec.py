"""An embedding product as data: the weekly tables it is made of, how they are trained on, how it is judged.

A spec is a declaration; `embedding_assets.factory` turns it into Dagster assets. Nothing here imports
Dagster, and a wrong value raises while the spec's file is being loaded.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from hashlib import sha256
from typing import Any, get_args

import pyarrow as pa

from embedding_assets.records import Trainer
from embedding_assets.tables.window import Prune
from registry.features.sets import KINDS, Kind
from registry.records import Metric

NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")  # the registry takes `-` too, Dagster's groups do not
#: Groups of what several embeddings read, and the lake's folder of rejected rows.
TAKEN = ("features", "quarantine", "raw", "text")
#: What an asset's function is given besides its stage's inputs.
GIVEN = ("context", "engine")
ASSET = re.compile(rf"{NAME.pattern}/{NAME.pattern}")


OWNER = re.compile(r"team:[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
TAG = re.compile(r"[A-Za-z0-9_.-]{1,63}(/[A-Za-z0-9_.-]{1,63})?")


class SpecError(ValueError):
    """A spec has a wrong value; the message names the field, and the file once it is loaded from one."""


def _check_weeks(field_name: str, weeks: object) -> None:
    if type(weeks) is not int or weeks < 1:
        raise SpecError(f"{field_name} must be a whole number of at least 1, got {weeks!r}")


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a stage.

    Attributes:
        asset: key of the weekly asset it reads, such as `text/tokens`.
        weeks: None: the same week, handed over as one Arrow table. A number: that many weeks up to and
            including this one, handed over as a mapping of week to a lazily read Arrow dataset; weeks
            before the source's first are left out, any other that is missing stops the run.
    """

    asset: str
    weeks: int | None = None

    def __post_init__(self) -> None:
        if not ASSET.fullmatch(self.asset):
            raise SpecError(f"Input.asset must look like `group/name`, got {self.asset!r}")
        if self.weeks is not None:
            _check_weeks(f"Input.weeks of {self.asset!r}", self.weeks)


def this_week(asset: str) -> Input:
    """The same week of `asset`, as one Arrow table."""
    return Input(asset=asset)


def last_weeks(asset: str, weeks: int) -> Input:
    """The last `weeks` weeks of `asset`, this one included, as a mapping of week to dataset."""
    return Input(asset=asset, weeks=weeks)


@dataclass(frozen=True, kw_only=True)
class Features:
    """Makes a stage's weekly table a feature set of the registry: `store.features(entity, rows, ["<kind>.<name>"])`.

    Attributes:
        entity: entity type of the keys.
        key: column of the keys; one row a key.
        columns: those that are features; empty takes all but the key.
        kind: `raw` as the events say it, `derived` computed from them.
        name: of the set; None takes the stage's.
    """

    entity: str
    key: str = "key"
    columns: tuple[str, ...] = ()
    kind: Kind = "derived"
    name: str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.entity):
            raise SpecError(f"Features.entity must match {NAME.pattern}, got {self.entity!r}")
        if self.kind not in KINDS:
            raise SpecError(f"Features.kind must be one of {KINDS}, got {self.kind!r}")
        if isinstance(self.columns, str):
            raise SpecError(f"Features.columns must be a tuple of names, got {self.columns!r}")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One weekly table on the way to an embedding: asset `<group>/<name>`.

    Attributes:
        name: the asset's name inside its group.
        about: what one row is, from what; the asset's text in the UI.
        inputs: parameter name of `make` -> what it is given.
        make: pure function `make(connection, **inputs) -> pa.Table`; `connection` is an in-memory DuckDB.
        version: raise it when `make` changes meaning; shown as the asset's code version.
        features: what of it the registry serves as features; None for nothing.
    """

    name: str
    about: str
    inputs: Mapping[str, Input]
    make: Callable[..., pa.Table]
    version: str = "1"
    features: Features | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SpecError(f"Stage.name must match {NAME.pattern}, got {self.name!r}")
        if not self.inputs:
            raise SpecError(f"Stage.inputs of {self.name!r} is empty; a stage reads at least one asset")
        if given := sorted(set(self.inputs) & set(GIVEN)):
            raise SpecError(f"Stage.inputs of {self.name!r} may not be named {given}: assets are given these already")
        known = list(inspect.signature(self.make).parameters.values())[1:]
        required = {parameter.name for parameter in known if parameter.default is inspect.Parameter.empty}
        if not required <= set(self.inputs) <= {parameter.name for parameter in known}:
            raise SpecError(
                f"Stage.inputs of {self.name!r} names {sorted(self.inputs)}, "
                f"but make() takes {[parameter.name for parameter in known]} after the connection"
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """How weekly pair tables become the one table that is trained on.

    Attributes:
        pairs: asset of the weekly counts (row_id, col_id, count).
        rows: asset of the weekly vocabulary of the rows (key, id, count).
        columns: the same for the columns; None where rows and columns are one entity.
        column_entity: entity type of the columns; None where it is the rows'.
        weeks: how many weeks are summed, the newest included.
        prune: what is kept of the sum.
    """

    pairs: str
    rows: str
    columns: str | None = None
    column_entity: str | None = None
    weeks: int = 4
    prune: Prune = field(default_factory=Prune)

    def __post_init__(self) -> None:
        _check_weeks("Window.weeks", self.weeks)
        for role, asset in self.assets.items():
            if not ASSET.fullmatch(asset):
                raise SpecError(f"Window.{role} must look like `group/name`, got {asset!r}")
        if (self.columns is None) != (self.column_entity is None):
            raise SpecError(
                f"Window.columns and Window.column_entity go together, got {self.columns!r} and {self.column_entity!r}"
            )

    @property
    def assets(self) -> dict[str, str]:
        """Role -> asset key of everything the window sums."""
        roles = {"pairs": self.pairs, "rows": self.rows, "columns": self.columns}
        return {role: asset for role, asset in roles.items() if asset}


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    """One embedding product; `embedding_assets/embeddings/<name>.py` holds one as `SPEC`.

    Attributes:
        name: the product's name, its asset group, and its name in the registry.
        entity: entity type of the rows; the registry's reference is `<entity>/<name>`.
        about: one sentence for the UI.
        stages: its own weekly tables, in any order; they may read shared ones, and those of other embeddings.
        window: how its weekly counts are summed and pruned.
        trainer: a frozen dataclass of settings with `fit`.
        metric: how its vectors are meant to be compared.
        tasks: ids of the benchmark tasks that judge it; None for all that know its entity.
        owner: who answers for it, `team:<name>` or an e-mail address.
    """

    name: str
    entity: str
    about: str
    stages: tuple[Stage, ...]
    window: Window
    trainer: Trainer
    metric: Metric = "cosine"
    tasks: tuple[str, ...] | None = None
    owner: str = "team:embeddings"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_trainer = is_dataclass(self.trainer) and not isinstance(self.trainer, type) and hasattr(self.trainer, "fit")
        tags = [part for tag in self.tags.items() for part in tag]
        rules = {
            "name": (
                NAME.fullmatch(self.name) and self.name not in TAKEN,
                f"match {NAME.pattern}, and not be of {TAKEN}",
            ),
            "entity": (NAME.fullmatch(self.entity), f"match {NAME.pattern}"),
            "metric": (self.metric in get_args(Metric), f"be one of {get_args(Metric)}"),
            "trainer": (is_trainer, "be a trainer with its settings, such as Sgns()"),
            "tasks": (not isinstance(self.tasks, str), "be a tuple of task ids, or None"),
            "owner": (OWNER.fullmatch(self.owner), "be `team:<name>` or an e-mail address"),
            "tags": (all(TAG.fullmatch(part) for part in tags), "hold letters, digits and `_.-` only"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise SpecError(f"SPEC.{name} must {rule}, got {getattr(self, name)!r}")
        names = [stage.name for stage in self.stages]
        reserved = {"embedding", "scores"} & set(names)
        if reserved or len(set(names)) != len(names):
            raise SpecError(f"SPEC.stages need names of their own, not {sorted(reserved) or names}")

    @property
    def assets(self) -> dict[str, Stage]:
        """Asset key -> stage, for its own stages."""
        return {f"{self.name}/{stage.name}": stage for stage in self.stages}

    @property
    def code_version(self) -> str:
        """Changes whenever a setting of the window or the trainer does, so that the UI marks it stale."""
        return sha256(repr((self.entity, self.metric, self.window, self.trainer)).encode()).hexdigest()[:12]


def required_tables(spec: EmbeddingSpec, known: Mapping[str, Stage]) -> frozenset[str]:
    """Raw event tables that `spec` rests on, through all stages that it reads.

    Args:
        spec: the embedding.
        known: asset key -> stage, for stages besides its own: the shared ones and those of other embeddings.

    Raises:
        SpecError: an input names an asset that nobody makes.
    """
    return raw_tables(read_by(spec, {**known, **spec.assets}))


def raw_tables(assets: Iterable[str]) -> frozenset[str]:
    """The raw event tables among asset keys."""
    return frozenset(asset.removeprefix("raw/") for asset in assets if asset.startswith("raw/"))


def read_by(spec: EmbeddingSpec, stages: Mapping[str, Stage]) -> frozenset[str]:
    """Keys of all assets that `spec` reads, directly or through the stages that make them.

    Raises:
        SpecError: one of them is neither raw nor in `stages`; the message has close matches.
    """
    return reach(f"SPEC {spec.name!r}", spec.window.assets.values(), stages)


def reach(reader: str, assets: Iterable[str], stages: Mapping[str, Stage]) -> frozenset[str]:
    """`assets` and everything that they are made from; `reader` is named in the error.

    Raises:
        SpecError: one of them is neither raw nor in `stages`; the message has close matches.
    """
    found: set[str] = set()
    wanted = [*assets]
    while wanted:
        asset = wanted.pop()
        if asset in found:
            continue
        found.add(asset)
        if asset.startswith("raw/"):
            continue
        if asset not in stages:
            raise SpecError(f"{reader} reads {asset!r}, which no stage makes{suggest(asset, stages)}")
        wanted += [source.asset for source in stages[asset].inputs.values()]
    return frozenset(found)


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest of `known`, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {', '.join(close)}?" if close else f"; known: {', '.join(names)}"


def settings_of(trainer: Any) -> dict[str, Any]:
    """The trainer's name and settings as JSON-able values, for the version's manifest."""
    return {"name": type(trainer).__name__, **vars(trainer)}
