"""The IO manager: stores every asset in the lake or the registry, and records every asset's lineage.

What an asset returns decides where it goes: an Arrow table becomes a Parquet partition, drafts of embedding
versions are published to the registry, and the partition then holds one row per version that points there.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import PrivateAttr

from registry import Draft, Upstream
from resources.lake import Lake
from resources.lake_files import ChangedPartition, MissingPartition, content_hash

#: Key in an input's metadata that says how it is handed over: `table` (one Arrow table),
#: `datasets` (week -> lazily read dataset) or `versions` (week -> registry versions; weeks without are left out).
LOAD_AS = "load_as"

#: One row a version that an embedding's partition published.
PUBLISHED = pa.schema(
    [
        pa.field("entity", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),
        pa.field("keys", pa.int64(), nullable=False),
        pa.field("dim", pa.int32(), nullable=False),
        pa.field("vectors_sha256", pa.string(), nullable=False),
    ]
)


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores what assets return and hands it to those that read it, and keeps the lineage of both.

    A version's lineage is the tree of what was loaded, as it was loaded: each input carries its own data
    version and its own inputs, down to the raw weeks.
    """

    root: str
    registry_root: str
    _loaded: dict[tuple[str, str], dict[tuple[str, str | None], Upstream]] = PrivateAttr(default_factory=dict)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def lake(self) -> Lake:
        """Where everything goes; not a nested resource, because Dagster 1.13 warns about its own use of those."""
        return Lake(root=self.root, registry_root=self.registry_root)

    def load_input(self, context: dg.InputContext) -> Any:
        """The upstream partitions in the form that the input's `load_as` asks for.

        Raises:
            dagster.Failure: a partition is missing; the message names it. It is not retried.
        """
        load_as = context.definition_metadata.get(LOAD_AS, "table")
        asset = context.asset_key.to_user_string()
        weeks = context.asset_partition_keys if context.has_asset_partitions else [None]
        if load_as == "versions":
            weeks = [week for week in weeks if self.lake.files.exists(asset, week)]
        try:
            # Lineage first: a rewrite between the two is then noticed when the output is stored.
            self._remember(context, {(asset, week): self.lake.files.lineage(asset, week) for week in weeks})
            loaded = {week: self._load(asset, week, load_as) for week in weeks}
        except MissingPartition as error:
            wanted_by = context.step_context.step.key
            raise dg.Failure(f"{wanted_by}: {error}", allow_retries=False) from error
        return loaded[weeks[0]] if load_as == "table" else loaded

    def handle_output(self, context: dg.OutputContext, obj: pa.Table | Sequence[Draft]) -> None:
        """Store what an asset returned, and describe it in the asset's metadata.

        Raises:
            ChangedPartition: an input was rewritten meanwhile; nothing is stored.
        """
        self._refuse_if_inputs_changed(context)
        lineage = self._lineage(context)
        if isinstance(obj, pa.Table):
            table = content = obj
        else:
            table = self._publish(obj, lineage)
            context.add_output_metadata({"versions": dg.MetadataValue.json(references(table))})
            # The vectors count, not the number: a rerun that learns the same is the same data.
            content = table.select(["entity", "name", "vectors_sha256"])
        lineage = replace(lineage, data_version=content_hash(content))
        path = self.lake.files.write(lineage.asset, table, lineage)
        self._forget(context)
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(str(lineage.data_version)))
        context.add_output_metadata(_describe(table, path, lineage))

    def _load(self, asset: str, week: str | None, load_as: str) -> Any:
        if load_as == "versions":
            return self.lake.versions(asset, str(week))
        return self.lake.files.read(asset, week) if load_as == "table" else self.lake.files.dataset(asset, week)

    def _remember(self, context: dg.InputContext, found: Mapping[tuple[str, str | None], Upstream]) -> None:
        step = (context.step_context.run_id, context.step_context.step.key)
        with self._lock:
            self._loaded.setdefault(step, {}).update(found)

    def _forget(self, context: dg.OutputContext) -> None:
        with self._lock:
            self._loaded.pop((context.run_id, context.step_key), None)

    def _inputs(self, context: dg.OutputContext) -> list[Upstream]:
        with self._lock:
            loaded = dict(self._loaded.get((context.run_id, context.step_key), {}))
        return [loaded[key] for key in sorted(loaded, key=str)]

    def _lineage(self, context: dg.OutputContext) -> Upstream:
        return Upstream(
            asset=context.asset_key.to_user_string(),
            partition=context.partition_key if context.has_asset_partitions else None,
            data_version=None,  # known once the rows are
            run_id=context.run_id,
            code_version=context.asset_spec.code_version,
            upstream=tuple(self._inputs(context)),
        )

    def _refuse_if_inputs_changed(self, context: dg.OutputContext) -> None:
        """Datasets are read late: an input rewritten meanwhile would make the recorded lineage a lie."""
        for was in self._inputs(context):
            now = self.lake.files.lineage(was.asset, was.partition)
            if now.data_version != was.data_version:
                raise ChangedPartition(
                    f"{was.asset} {was.partition} changed while it was being read "
                    f"(data version {was.data_version} became {now.data_version}); run this step again"
                )

    def _publish(self, drafts: Sequence[Draft], lineage: Upstream) -> pa.Table:
        """Publish every draft, as the version of this run."""
        store = self.lake.store
        created_by = f"{lineage.run_id}/{lineage.asset}"
        rows = []
        for draft in drafts:
            version = store.publish(replace(draft, lineage=lineage, created_by=created_by))
            rows.append(
                {
                    "entity": version.entity,
                    "name": version.name,
                    "number": version.number,
                    "keys": len(version),
                    "dim": version.dim,
                    "vectors_sha256": version.manifest.files["table.safetensors"].sha256,
                }
            )
        return pa.Table.from_pylist(rows, PUBLISHED)


def references(published: pa.Table) -> list[str]:
    """The registry's references, such as `word/word@v8`, for rows of `PUBLISHED`."""
    return [f"{row['entity']}/{row['name']}@v{row['number']}" for row in published.to_pylist()]


def _describe(table: pa.Table, path: Path, lineage: Upstream) -> dict[str, Any]:
    """What the UI shows for a partition: size, columns, where it lies and what it came from."""
    inputs = [f"{up.asset} {up.partition or ''}".strip() for up in lineage.upstream]
    return {
        "dagster/row_count": table.num_rows,
        "dagster/column_schema": column_schema(table.schema),
        "state": "filled" if table.num_rows else "empty",
        "path": dg.MetadataValue.path(str(path)),
        "bytes": path.stat().st_size,
        "data_version": str(lineage.data_version),
        "made_from": dg.MetadataValue.json(inputs),
    }


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema in the form that the UI lists."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.type),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in schema
        ]
    )
