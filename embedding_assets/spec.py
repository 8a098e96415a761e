"""An embedding product as data: the weekly tables it is made of, how they are trained on, how it is judged.

A spec is a declaration; `embedding_assets.factory` turns it into Dagster assets. Nothing here imports
Dagster, and a wrong value raises while the spec's file is being loaded.
"""

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from hashlib import sha256
from typing import Any, get_args

import pyarrow as pa

from embedding_assets.records import Trainer
from embedding_assets.search_space import Tuning
from embedding_assets.tables.window import Prune
from registry.features.sets import KINDS, Kind
from registry.gates import Finite, Gate, MaxShrink, MinCoverage, NothingFell, SameWidth
from registry.records import Metric

NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")  # the registry takes `-` too, Dagster's groups do not
#: Groups of what several embeddings read, and the lake's folder of rejected rows.
TAKEN = ("drift", "features", "graph", "quarantine", "raw", "scores", "text")
#: What an asset's function is given besides its stage's inputs.
GIVEN = ("context", "engine")
#: What must hold before a version follows the one that is served, besides that no older week follows a newer one.
#: Coverage counts a key as often as it occurred. `stability` and `moved_words` say what changed, not how good it is.
GATES: tuple[Gate, ...] = (
    Finite(),
    SameWidth(),
    MaxShrink(0.3),
    MinCoverage(0.5, weight="count"),
    NothingFell(0.05, bounds={"stability/neighbors_kept": 0.25, "stability": math.inf, "moved_words": math.inf}),
)
#: "All weeks so far": ten years; weeks before the source's first are left out anyway.
EVER = 520
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
        optional: of a raw table: None is handed over where the source has no such table.
    """

    asset: str
    weeks: int | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        if not ASSET.fullmatch(self.asset):
            raise SpecError(f"Input.asset must look like `group/name`, got {self.asset!r}")
        if self.weeks is not None:
            _check_weeks(f"Input.weeks of {self.asset!r}", self.weeks)
        if self.optional and not self.asset.startswith("raw/"):
            raise SpecError(f"Input.optional is for raw tables, which a source may lack; {self.asset!r} is made here")


def this_week(asset: str, *, optional: bool = False) -> Input:
    """The same week of `asset`, as one Arrow table."""
    return Input(asset=asset, optional=optional)


def last_weeks(asset: str, weeks: int, *, optional: bool = False) -> Input:
    """The last `weeks` weeks of `asset`, this one included, as a mapping of week to dataset."""
    return Input(asset=asset, weeks=weeks, optional=optional)


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
        make: pure function `make(connection, **inputs, **settings) -> pa.Table`; `connection` is an in-memory DuckDB.
        version: raise it when `make` changes meaning.
        features: what of it the registry serves as features; None for nothing.
        settings: caps, thresholds and the like, JSON-able; every version made from it carries them in its manifest.
    """

    name: str
    about: str
    inputs: Mapping[str, Input]
    make: Callable[..., pa.Table]
    version: str = "1"
    features: Features | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SpecError(f"Stage.name must match {NAME.pattern}, got {self.name!r}")
        if not self.inputs:
            raise SpecError(f"Stage.inputs of {self.name!r} is empty; a stage reads at least one asset")
        if given := sorted(set(self.inputs) & set(GIVEN)):
            raise SpecError(f"Stage.inputs of {self.name!r} may not be named {given}: assets are given these already")
        known = list(inspect.signature(self.make).parameters.values())[1:]
        required = {parameter.name for parameter in known if parameter.default is inspect.Parameter.empty}
        given = {**self.inputs, **self.settings}
        if not required <= set(given) <= {parameter.name for parameter in known}:
            raise SpecError(
                f"Stage.inputs with settings of {self.name!r} names {sorted(given)}, "
                f"but make() takes {[parameter.name for parameter in known]} after the connection"
            )

    @property
    def code_version(self) -> str:
        """`version`, and a digest of the settings where there are any; shown as the asset's code version."""
        if not self.settings:
            return self.version
        return f"{self.version}-{sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8]}"


@dataclass(frozen=True, kw_only=True)
class Window:
    """How weekly pair tables become the one table that is trained on.

    Attributes:
        pairs: asset of the weekly counts (row_id, col_id, count).
        rows: asset of the weekly vocabulary of the rows (key, id, count).
        columns: the same for the columns; None where rows and columns are one entity.
        column_entity: entity type of the columns; None where it is the rows'.
        column_name: the columns' name in the registry; None takes the embedding's. Two sides of one entity type,
            such as who follows and who is followed, need two names.
        weeks: how many weeks are summed, the newest included.
        prune: what is kept of the sum.
        hold_out: share of the pairs, chosen by a hash, that is never trained on, so that benchmarks can ask about it.
    """

    pairs: str
    rows: str
    columns: str | None = None
    column_entity: str | None = None
    column_name: str | None = None
    weeks: int = 4
    prune: Prune = field(default_factory=Prune)
    hold_out: float = 0.0

    def __post_init__(self) -> None:
        _check_weeks("Window.weeks", self.weeks)
        for role, asset in self.assets.items():
            if not ASSET.fullmatch(asset):
                raise SpecError(f"Window.{role} must look like `group/name`, got {asset!r}")
        if (self.columns is None) != (self.column_entity is None):
            raise SpecError(
                f"Window.columns and Window.column_entity go together, got {self.columns!r} and {self.column_entity!r}"
            )
        if self.column_name is not None and not (self.columns and NAME.fullmatch(self.column_name)):
            raise SpecError(f"Window.column_name must match {NAME.pattern} and needs columns, got {self.column_name!r}")
        if not 0 <= self.hold_out < 1:
            raise SpecError(f"Window.hold_out must lie in [0, 1), got {self.hold_out!r}")

    @property
    def assets(self) -> dict[str, str]:
        """Role -> asset key of everything the window sums."""
        roles = {"pairs": self.pairs, "rows": self.rows, "columns": self.columns}
        return {role: asset for role, asset in roles.items() if asset}


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A further version in the embedding's space: each key the weighted mean of the vectors of what its bag holds.

    So a user gets a vector from the domains that they visit, a tweet from its words, without being trained on. The
    registry's `compose` gives a bag that nobody has seen the same kind of vector.

    Attributes:
        entity: entity type of the keys.
        of: entity type of the features, one that the embedding trains.
        bags: weekly asset (key, feature, weight), or an affinity graph whose sources are the keys.
        weeks: how many weeks of bags are summed, the newest included.
        idf: weigh features by log(all occurrences / its occurrences), here and in the registry's `compose`.
        name: in the registry; None takes the embedding's.
    """

    entity: str
    of: str
    bags: str
    weeks: int = 1
    idf: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        _check_weeks(f"Composed.weeks of {self.entity!r}", self.weeks)
        for role in ("entity", "of"):
            if not NAME.fullmatch(getattr(self, role)):
                raise SpecError(f"Composed.{role} must match {NAME.pattern}, got {getattr(self, role)!r}")
        if not ASSET.fullmatch(self.bags):
            raise SpecError(f"Composed.bags must look like `group/name`, got {self.bags!r}")


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A number among a weekly asset's metadata that says, by leaving its bounds, that the embedding has drifted.

    Attributes:
        asset: such as `drift/token_overlap`, or the embedding's own scores.
        number: its label, such as `word kept 4w`.
        least: smaller is drift; None for no such bound.
        most: larger is drift.
    """

    asset: str
    number: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if not ASSET.fullmatch(self.asset):
            raise SpecError(f"Watch.asset must look like `group/name`, got {self.asset!r}")
        if self.least is None and self.most is None:
            raise SpecError(f"Watch of {self.number!r} needs a bound, least or most")

    def holds(self, value: float) -> bool:
        """Whether `value` lies within the bounds."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


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
        composed: further entities that get vectors from those that are trained.
        tasks: ids of the benchmark tasks that judge it; None for all that know its entity.
        tuning: what `embeddings tune` searches for, and where; None for what is usual.
        gates: which all must let a version pass before it is served as `production`.
        watches: what is taken for drift, and answered by a retraining out of turn.
        owner: who answers for it, `team:<name>` or an e-mail address.
    """

    name: str
    entity: str
    about: str
    stages: tuple[Stage, ...]
    window: Window
    trainer: Trainer
    metric: Metric = "cosine"
    composed: tuple[Composed, ...] = ()
    tasks: tuple[str, ...] | None = None
    tuning: Tuning | None = None
    gates: tuple[Gate, ...] = GATES
    watches: tuple[Watch, ...] = ()
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
            "gates": (isinstance(self.gates, tuple), "be a tuple of gates, such as (MaxShrink(0.3),)"),
            "watches": (isinstance(self.watches, tuple), "be a tuple of Watch(...)"),
            "owner": (OWNER.fullmatch(self.owner), "be `team:<name>` or an e-mail address"),
            "tags": (all(TAG.fullmatch(part) for part in tags), "hold letters, digits and `_.-` only"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise SpecError(f"SPEC.{name} must {rule}, got {getattr(self, name)!r}")
        names = [stage.name for stage in self.stages]
        reserved = {"embedding", "scores", "production", "tuning"} & set(names)
        if reserved or len(set(names)) != len(names):
            raise SpecError(f"SPEC.stages need names of their own, not {sorted(reserved) or names}")
        trained = {self.entity, self.window.column_entity}
        if unknown := [part.of for part in self.composed if part.of not in trained]:
            raise SpecError(f"SPEC.composed is of {unknown}, but {sorted(filter(None, trained))} are trained")
        read = dict(self._roles.values())
        if uneven := [part.bags for part in self.composed if read[part.bags] != part.weeks]:
            raise SpecError(f"SPEC.composed: {uneven[0]!r} is read for two numbers of weeks, {read[uneven[0]]} is one")
        if len(set(self.published)) < len(self.published):
            raise SpecError(f"SPEC publishes twice under one name: {', '.join(self.published)}; give one a name")

    @property
    def assets(self) -> dict[str, Stage]:
        """Asset key -> stage, for its own stages."""
        return {f"{self.name}/{stage.name}": stage for stage in self.stages}

    @property
    def reads(self) -> dict[str, Input]:
        """Role -> what the embedding reads: the tables that its window sums, and the bags of what it composes."""
        return {role: last_weeks(asset, weeks) for role, (asset, weeks) in self._roles.items()}

    @property
    def bags(self) -> dict[str, str]:
        """Asset of bags -> the role in which it is read; a table of the window may be bags, too."""
        return {
            part.bags: role for part in self.composed for role, (asset, _) in self._roles.items() if asset == part.bags
        }

    @property
    def _roles(self) -> dict[str, tuple[str, int]]:
        """Role -> asset and weeks, each asset once: Dagster takes no asset as two inputs."""
        roles = {role: (asset, self.window.weeks) for role, asset in self.window.assets.items()}
        for part in self.composed:
            if part.bags not in [asset for asset, _ in roles.values()]:
                roles[f"bags_{len(roles)}"] = (part.bags, part.weeks)
        return roles

    @property
    def published(self) -> tuple[str, ...]:
        """The registry's names, such as `user/consumer_producer`, of everything that one training publishes."""
        names = [f"{self.entity}/{self.name}"]
        if self.window.column_entity and (self.window.column_name or self.window.column_entity != self.entity):
            names.append(f"{self.window.column_entity}/{self.window.column_name or self.name}")
        return (*names, *(f"{part.entity}/{part.name or self.name}" for part in self.composed))

    @property
    def code_version(self) -> str:
        """Changes whenever a setting of the window, the trainer or what is composed does: the UI marks it stale."""
        made_by = (self.entity, self.metric, self.window, self.composed, self.trainer)
        return sha256(repr(made_by).encode()).hexdigest()[:12]


def settings_of(trainer: Any) -> dict[str, Any]:
    """The trainer's name and settings as JSON-able values, for the version's manifest."""
    return {"name": type(trainer).__name__, **vars(trainer)}
