"""The stages of a spec run one after another, without Dagster: a source goes in, what is trained on comes out."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.assets.shared import SHARED
from embedding_assets.records import PairTable, Week
from embedding_assets.sources.schema import Source, shift_week
from embedding_assets.spec import EmbeddingSpec, Input, Stage
from embedding_assets.tables.engine import connect
from embedding_assets.windows import window_table


@dataclass(frozen=True, kw_only=True, eq=False)
class Stages:
    """Weekly tables, each made when it is first asked for.

    Attributes:
        source: of the raw tables.
        specs: whose stages are known, besides the shared ones.
        replaced: (asset, week) -> a table to take instead, such as raw rows with a planted bot.
    """

    source: Source
    specs: tuple[EmbeddingSpec, ...]
    replaced: Mapping[tuple[str, Week], pa.Table] = field(default_factory=dict)
    made: dict[tuple[str, Week], pa.Table] = field(default_factory=dict)

    def table(self, asset: str, week: Week) -> pa.Table:
        """One asset in one week."""
        if (asset, week) not in self.made:
            replaced = self.replaced.get((asset, week))
            self.made[asset, week] = self._make(asset, week) if replaced is None else replaced
        return self.made[asset, week]

    def weeks(self, asset: str, week: Week, count: int) -> dict[Week, ds.Dataset]:
        """The last `count` weeks of an asset, none before the source's first."""
        wanted = [week]
        while len(wanted) < count and wanted[-1] > self.source.first_week:
            wanted.append(shift_week(wanted[-1], -1))
        return {one: ds.dataset(self.table(asset, one)) for one in sorted(wanted)}

    def window(self, spec: EmbeddingSpec, week: Week) -> PairTable:
        """What `spec` is trained on."""
        weeks = {role: self.weeks(asset, week, spec.window.weeks) for role, asset in spec.window.assets.items()}
        with closing(connect(threads=1)) as connection:
            return window_table(connection, spec, weeks)

    def _make(self, asset: str, week: Week) -> pa.Table:
        if asset.startswith("raw/"):
            return self.source.read(asset.removeprefix("raw/"), week).rows
        stages: dict[str, Stage] = dict(SHARED)
        for spec in self.specs:
            stages |= spec.assets
        stage = stages[asset]
        given = {name: self._input(one, week) for name, one in stage.inputs.items()}
        with closing(connect(threads=1)) as connection:
            return stage.make(connection, **given, **stage.settings)

    def _input(self, one: Input, week: Week) -> pa.Table | dict[Week, ds.Dataset] | None:
        if one.optional and one.asset.removeprefix("raw/") not in self.source.tables:
            return None
        return self.table(one.asset, week) if one.weeks is None else self.weeks(one.asset, week, one.weeks)
