"""What is served: the week's versions promoted to `production` if every gate lets them, or held back and said why."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import dagster as dg
import pyarrow as pa

from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in, asset_key, window_in
from embedding_assets.promotion import Verdict, judge_together, promote_together, served_now
from embedding_assets.spec import EmbeddingSpec, this_week
from registry import Store
from resources.lake import Lake
from resources.notifier import Notice, Notifier

PROMOTED = "promoted"

GATES = pa.schema(
    [
        pa.field("version", pa.string(), nullable=False),
        pa.field("served", pa.string()),  # before; null at the first promotion
        pa.field("gate", pa.string(), nullable=False),
        pa.field("passed", pa.bool_(), nullable=False),
        pa.field("why", pa.string(), nullable=False),
    ]
)


def production_asset(spec: EmbeddingSpec, partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `<name>/production`: the gates' verdict on the week's versions, which then are served, or are not."""
    key = f"{spec.name}/production"

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=(
            f"One row a version of the week and gate: whether it may be served as `production` after what is served "
            f"now. Moves {' and '.join(spec.published)} together, or none of them."
        ),
        code_version=sha256(repr([getattr(gate, "__name__", gate) for gate in spec.gates]).encode()).hexdigest()[:12],
        kinds=["numpy"],
        owner=spec.owner,
        ins={
            "versions": window_in(f"{spec.name}/embedding", first=0, load_as="versions"),
            "scores": asset_in(this_week(f"{spec.name}/scores")),
        },
        check_specs=[
            dg.AssetCheckSpec(
                PROMOTED,
                asset=asset_key(key),
                description="the week's versions are served, or something newer already is",
            )
        ],
    )
    def production(
        context: dg.AssetExecutionContext, lake: Lake, notifier: Notifier, versions: dict[str, list], scores: pa.Table
    ) -> dg.MaterializeResult:
        store, week = lake.store, context.partition_key
        verdicts = judge_together(store, versions.get(week, []), spec.gates)
        moves = promote_together(store, verdicts, f"{key} {week}, run {context.run.run_id}")
        passed, why = verdict_of(verdicts, week)
        if not passed:
            notifier.tell(Notice(kind="held_back", subject=f"{spec.name} {week}", text=why))
        context.log.info("%d of %d promoted after %d scores: %s", len(moves), len(verdicts), scores.num_rows, why)
        return dg.MaterializeResult(
            value=gate_table(verdicts),
            metadata=_metadata(spec, store, verdicts, promoted=bool(moves), why=why),
            check_results=[
                dg.AssetCheckResult(
                    passed=passed, check_name=PROMOTED, severity=dg.AssetCheckSeverity.WARN, description=why
                )
            ],
        )

    return production


def verdict_of(verdicts: Sequence[Verdict], week: str) -> tuple[bool, str]:
    """Whether all is as it should be, and in one line what held which version back."""
    if not verdicts:
        return False, f"no version was published in {week}: what was served is served on"
    held = [
        f"{verdict.candidate.reference} by {result.name}: {result.why}"
        for verdict in verdicts
        for result in verdict.refused
    ]
    if not held:
        return True, f"served: {', '.join(verdict.candidate.reference for verdict in verdicts)}"
    if any(verdict.is_older for verdict in verdicts):
        return True, f"not promoted, newer weeks are served: {'; '.join(held)}"
    return False, f"held back: {'; '.join(held)}"


def gate_table(verdicts: Sequence[Verdict]) -> pa.Table:
    """Verdicts in the schema `GATES`."""
    rows = [
        {
            "version": verdict.candidate.reference,
            "served": verdict.served.reference if verdict.served else None,
            "gate": result.name,
            "passed": result.passed,
            "why": result.why,
        }
        for verdict in verdicts
        for result in verdict.results
    ]
    return pa.Table.from_pylist(rows, GATES)


def _metadata(
    spec: EmbeddingSpec, store: Store, verdicts: Sequence[Verdict], *, promoted: bool, why: str
) -> dict[str, Any]:
    served = {name: served_now(store, name) or "nothing yet" for name in spec.published}
    return {
        "promoted": int(promoted),  # a number, which the UI plots over weeks
        "gates_refused": sum(len(verdict.refused) for verdict in verdicts),
        "why": why,
        "served": dg.MetadataValue.json(served),
        "gates": dg.MetadataValue.md(gates_markdown(gate_table(verdicts))),
    }


def gates_markdown(table: pa.Table) -> str:
    """A markdown table of rows of `GATES`; what refused comes first."""
    if not table.num_rows:
        return "no version, so no gate was asked"
    rows = sorted(table.to_pylist(), key=lambda row: row["passed"])
    lines = [
        f"| {'passed' if row['passed'] else '**refused**'} | {row['gate']} | {row['version']} "
        f"| {row['served'] or '–'} | {row['why']} |"
        for row in rows
    ]
    return "\n".join(["| | gate | version | served before | why |", "|---|---|---|---|---|", *lines])
