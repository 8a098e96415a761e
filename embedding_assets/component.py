"""An embedding as a Dagster Component: a few lines of YAML and one query instead of a Python file."""

import inspect
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import dagster as dg
import duckdb
import pyarrow as pa

import embedding_assets.defs
from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.embeddings import all_specs
from embedding_assets.factory import build
from embedding_assets.reach import suggest
from embedding_assets.records import Trainer
from embedding_assets.settings import Settings
from embedding_assets.sources.select import open_source
from embedding_assets.spec import EmbeddingSpec, Input, SpecError, Window
from embedding_assets.tables.engine import registered
from embedding_assets.tables.errors import TableError
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.als import Als
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd
from registry.records import Metric

Made = TypeVar("Made")

TRAINERS: dict[str, type] = {"als": Als, "sgns": Sgns, "svd": Svd}


@dataclass
class AffinityEmbedding(dg.Component, dg.Resolvable):
    """Sources and destinations in one space, from a query that says who is tied to whom.

    Attributes:
        name: the embedding's; its asset group and its name in the registry.
        entity: entity type of the sources.
        destination: entity type of the destinations.
        about: what a source, a destination and a weight are; one sentence.
        inputs: name of a table in the query -> weekly asset, such as `raw/ad_clicks`.
        query: DuckDB SQL that gives the columns `source`, `destination` and `weight` of one week.
        trainer: `svd`, `als` or `sgns`, with its settings.
        weeks: how many weeks a version is trained on.
        prune: settings of `Prune`.
        metric: how two vectors are meant to be compared.
        owner: `team:<name>` or an e-mail address.
    """

    name: str
    entity: str
    destination: str
    about: str
    inputs: dict[str, str]
    query: str
    trainer: dict[str, dict[str, Any]]
    weeks: int = 4
    prune: dict[str, Any] = field(default_factory=dict)
    metric: Metric = "cosine"
    owner: str = "team:embeddings"

    @cached_property
    def spec(self) -> EmbeddingSpec:
        """The spec that this declares.

        Raises:
            SpecError: a value is wrong; the message names the field.
        """
        return EmbeddingSpec(
            name=self.name,
            entity=self.entity,
            about=self.about,
            stages=affinity_stages(
                self.name,
                about=self.about,
                triples=_asking(self.inputs),
                inputs={table: Input(asset=asset) for table, asset in self.inputs.items()},
                settings={"sql": self.query},
            ),
            window=Window(
                pairs=f"{self.name}/affinities",
                rows=f"{self.name}/sources",
                columns=f"{self.name}/destinations",
                column_entity=self.destination,
                weeks=self.weeks,
                prune=_made("prune", Prune, self.prune),
            ),
            trainer=_trainer(self.trainer),
            metric=self.metric,
            owner=self.owner,
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of this embedding alone; the raw and shared tables that it reads are defined elsewhere."""
        settings = Settings.read(os.environ)
        built = build(open_source(os.environ, settings.home), [self.spec])
        own = [asset for asset in built.assets if all(key.path[0] == self.name for key in asset.keys)]
        return dg.Definitions(assets=own, asset_checks=built.checks)


def every_spec() -> list[EmbeddingSpec]:
    """The specs of all files in `embeddings/`, then those of all components in `defs/`.

    Raises:
        SpecError: a spec has a wrong value, or two have one name.
    """
    specs = [*all_specs(), *component_specs()]
    names = [spec.name for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"SPEC.name {twice[0]!r} is taken by a file in embeddings/ or another defs.yaml")
    return specs


def component_specs(defs: ModuleType = embedding_assets.defs) -> list[EmbeddingSpec]:
    """The specs of all components in the package `defs`, in the order of their folders' names.

    Raises:
        SpecError: a value is wrong; the message names the component and the field.
    """
    [folder] = defs.__path__
    root = Path(folder).parents[defs.__name__.count(".")]
    with warnings.catch_warnings():  # Dagster 1.13 reads YAML by a function that pydantic has deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        tree = dg.ComponentTree(defs_module=defs, project_root=root)
        components = tree.get_all_components(of_type=AffinityEmbedding)
    return [_spec_of(component) for component in components]


def _spec_of(component: AffinityEmbedding) -> EmbeddingSpec:
    try:
        return component.spec
    except (ValueError, TypeError) as error:
        raise SpecError(f"the component {component.name!r}: {error}") from error


def _asking(inputs: Mapping[str, str]) -> Callable[..., pa.Table]:
    """A stage's function that runs a query on tables of these names."""

    def triples(connection: duckdb.DuckDBPyConnection, sql: str, **tables: pa.Table) -> pa.Table:
        with registered(connection, tables):
            try:
                return connection.sql(sql).to_arrow_table()
            except duckdb.Error as error:
                raise TableError(f"the query of a component failed: {error}") from error

    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in inputs]
    known = list(inspect.signature(triples).parameters.values())[:2]
    triples.__signature__ = inspect.Signature([*known, *named])  # what a stage's inputs are checked against
    return triples


def _trainer(given: Mapping[str, Mapping[str, Any]]) -> Trainer:
    """The one trainer that is named, with its settings."""
    if len(given) != 1 or not set(given) <= set(TRAINERS):
        raise SpecError(f"trainer must be one of {', '.join(TRAINERS)} with its settings, got {dict(given)}")
    [(name, settings)] = given.items()
    return _made(f"trainer.{name}", TRAINERS[name], settings)


def _made(where: str, kind: type[Made], settings: Mapping[str, Any]) -> Made:
    known = list(inspect.signature(kind).parameters)
    if unknown := [name for name in settings if name not in known]:
        raise SpecError(f"{where} has no setting {unknown[0]!r}{suggest(unknown[0], known)}")
    return kind(**settings)
