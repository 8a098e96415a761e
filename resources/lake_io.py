"""The IO manager: stores every asset in the lake or the registry, and records every asset's lineage.

What an asset returns decides where it goes: an Arrow table becomes a Parquet partition, which the registry serves as
features too where it comes with a draft of them; drafts of embedding versions are published to the registry, and the
partition then holds one row per version that points there.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import dagster as dg
import pyarrow as pa
from pydantic import PrivateAttr

from registry import Draft, Upstream
from registry.errors import InvalidEmbedding, InvalidFeatures, InvalidName
from registry.features.sets import FeatureDraft
from registry.logs.documents import dump
from resources.lake import Lake
from resources.lake_files import ChangedPartition, content_hash

Offered = TypeVar("Offered", Draft, FeatureDraft)
Accepted = TypeVar("Accepted")

#: Key in an input's metadata that says how it is handed over: `table` (one Arrow table),
#: `datasets` (week -> lazily read dataset), `found` (the same, weeks that are missing left out) or `versions`
#: (week -> registry versions; weeks without are left out).
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


class Served(NamedTuple):
    """A table for the lake, and what of it the registry serves as features."""

    table: pa.Table
    features: FeatureDraft


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores what assets return and hands it to those that read it, and keeps the lineage of both.

    A version's lineage is the tree of what was loaded, as it was loaded: each input carries its own data
    version and its own inputs, down to the raw weeks.
    """

    root: str
    registry_root: str
    _loaded: dict[tuple[str, str], dict[tuple[str, str | None], Upstream]] = PrivateAttr(default_factory=dict)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _lake: Lake | None = PrivateAttr(default=None)

    @property
    def lake(self) -> Lake:
        """Where everything goes; not a nested resource, because Dagster 1.13 warns about its own use of those."""
        if self._lake is None:
            self._lake = Lake(root=self.root, registry_root=self.registry_root)
        return self._lake

    def load_input(self, context: dg.InputContext) -> Any:
        """The upstream partitions in the form that the input's `load_as` asks for.

        Raises:
            dagster.Failure: partitions are missing; the message names them all. It is not retried.
        """
        load_as = context.definition_metadata.get(LOAD_AS, "table")
        asset = context.asset_key.to_user_string()
        weeks = context.asset_partition_keys if context.has_asset_partitions else [None]
        if load_as in ("found", "versions"):
            weeks = [week for week in weeks if self.lake.files.exists(asset, week)]
        if missing := [week for week in weeks if not self.lake.files.exists(asset, week)]:
            raise dg.Failure(self._lacks(asset, missing, context), allow_retries=False)
        # Lineage first: a rewrite between the two is then noticed when the output is stored.
        self._remember(context, {(asset, week): self.lake.files.lineage(asset, week) for week in weeks})
        loaded = {week: self._load(asset, week, load_as) for week in weeks}
        return loaded[weeks[0]] if load_as == "table" else loaded

    def _lacks(self, asset: str, missing: Sequence[str | None], context: dg.InputContext) -> str:
        have = self.lake.files.partitions(asset)
        span = f"it has {have[0]} to {have[-1]} ({len(have)} weeks)" if have else "it has none"
        weeks = ", ".join(map(str, missing))
        return (
            f"{context.step_context.step.key}: {asset} has no partition {weeks}; {span}. Materialise these first; "
            "`embeddings backfill` asks for all that a range of versions needs."
        )

    def handle_output(self, context: dg.OutputContext, obj: pa.Table | Served | Sequence[Draft]) -> None:
        """Store what an asset returned, and describe it in the asset's metadata.

        Raises:
            ChangedPartition: an input was rewritten meanwhile; nothing is stored.
        """
        self._refuse_if_inputs_changed(context)
        lineage = self._lineage(context)
        if isinstance(obj, pa.Table):
            table = content = obj
        elif isinstance(obj, Served):
            table = content = obj.table
            context.add_output_metadata({"features": self._serve(obj.features, lineage, _identity(context, lineage))})
        else:
            identity = _identity(context, lineage)
            table = self._publish([_in_space(draft, identity) for draft in obj], lineage, identity)
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

    def _serve(self, draft: FeatureDraft, lineage: Upstream, identity: str) -> str:
        """Publish a feature set, unless the same run has published it before it died; returns its name and number."""
        draft = replace(draft, lineage=lineage, created_by=identity)
        published = _permanent(self.lake.store.publish_features, draft)
        return f"{published.entity}: {published.reference}, publication {published.number}"

    def _publish(self, drafts: Sequence[Draft], lineage: Upstream, identity: str) -> pa.Table:
        """Publish every draft, unless the same run has published it from the same inputs before it died."""
        store = self.lake.store
        rows = []
        for draft in drafts:
            version = _permanent(store.publish, replace(draft, lineage=lineage, created_by=identity))
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


def _identity(context: dg.OutputContext, lineage: Upstream) -> str:
    """Names the run that publishes, and what from: a retry has the name of the run that it repeats.

    Inputs and code are part of the name. A retry after one of them changed has other vectors, so it must not be
    taken for the run whose version already stands there.
    """
    run = context.step_context.dagster_run
    first = run.root_run_id if "dagster/retry_number" in run.tags and run.root_run_id else run.run_id
    made_of = sha256(dump({"inputs": lineage.upstream, "code": lineage.code_version})).hexdigest()[:12]
    return f"{first}/{lineage.asset}/{made_of}"


def _in_space(draft: Draft, identity: str) -> Draft:
    """Vectors of one training run may be compared with each other; those of two runs may not."""
    return replace(draft, space=sha256(f"{identity}/{draft.week}/{draft.space}".encode()).hexdigest()[:16])


def _permanent(publish: Callable[[Offered], Accepted], draft: Offered) -> Accepted:
    """Publish; a draft that the registry refuses would be refused again, so it is not retried."""
    try:
        return publish(draft)
    except (InvalidEmbedding, InvalidFeatures, InvalidName) as error:
        raise dg.Failure(f"{draft.entity}/{draft.name}: {error}", allow_retries=False) from error


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
