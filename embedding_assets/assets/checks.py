"""Checks of a published version, run right after it and before anything downstream."""

from collections.abc import Iterator

import dagster as dg

from embedding_assets.partitions import asset_key
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec
from registry import Version
from resources.lake import Lake

VERIFIES = "version_verifies"
KEPT = "vocabulary_kept"

#: A version that loses more of last week's keys than this is not to be trusted blindly.
MOST_KEYS_LOST = 0.3


def version_checks(spec: EmbeddingSpec) -> dg.AssetChecksDefinition:
    """Reads the week's versions back: `version_verifies` stops what comes after, `vocabulary_kept` warns."""
    key = asset_key(f"{spec.name}/embedding")

    @dg.multi_asset_check(
        name=f"{spec.name}_version_checks",
        specs=[
            dg.AssetCheckSpec(
                VERIFIES,
                asset=key,
                blocking=True,
                description="every file has the size and sha256 that the manifest says",
            ),
            dg.AssetCheckSpec(
                KEPT,
                asset=key,
                description=f"at most {MOST_KEYS_LOST:.0%} of the keys of the week before are gone",
            ),
        ],
    )
    def checks(context: dg.AssetCheckExecutionContext, lake: Lake) -> Iterator[dg.AssetCheckResult]:
        week = context.partition_key
        now = lake.versions(f"{spec.name}/embedding", week)
        before = lake.versions(f"{spec.name}/embedding", shift_week(week, -1))
        yield _verify(key, now)
        yield _compare(key, now, before, week)

    return checks


def _verify(key: dg.AssetKey, versions: list[Version]) -> dg.AssetCheckResult:
    faults = [f"{version.reference}: {problem}" for version in versions for problem in version.verify().problems]
    references = [version.reference for version in versions]
    return dg.AssetCheckResult(
        passed=not faults,
        asset_key=key,
        check_name=VERIFIES,
        description="; ".join(faults) or f"verified: {', '.join(references) or 'no version to verify'}",
    )


def _compare(key: dg.AssetKey, now: list[Version], before: list[Version], week: Week) -> dg.AssetCheckResult:
    lost = keys_lost(now, before)
    return dg.AssetCheckResult(
        passed=lost <= MOST_KEYS_LOST,
        asset_key=key,
        check_name=KEPT,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share_of_keys_lost": lost},
        description=f"{lost:.1%} of last week's keys are gone" if before else f"no version in the week before {week}",
    )


def keys_lost(now: list[Version], before: list[Version]) -> float:
    """The largest share of keys that an entity's version lost, in [0, 1]; 0 where there is none before."""
    current = {version.entity: set(version.keys().tolist()) for version in now}
    shares = [
        1 - len(current.get(old.entity, set()) & set(keys)) / len(keys)
        for old in before
        if (keys := old.keys().tolist())
    ]
    return max(shares, default=0.0)
