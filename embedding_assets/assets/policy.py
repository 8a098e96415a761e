"""What holds for every asset, said once: partitions, retries, storage, kinds, tags."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

#: For what passes by itself, such as a full disk. Missing inputs and wrong data raise Failures that are not retried.
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


Materialize = Callable[..., dg.MaterializeResult]


def weekly_asset(  # noqa: PLR0913 - the one place where an asset's surroundings are put together
    *,
    key: str,
    partitions: dg.PartitionsDefinition,
    about: str,
    code_version: str,
    kinds: Sequence[str] = (),
    owner: str = "team:embeddings",
    tags: Mapping[str, str] | None = None,
    **more: Any,
) -> Callable[[Materialize], dg.AssetsDefinition]:
    """Decorator for the asset `key` (`group/name`); `more` goes to `dagster.asset` as it is."""
    group, stage = key.split("/")
    decorator: Any = dg.asset(
        key=dg.AssetKey([group, stage]),
        group_name=group,
        partitions_def=partitions,
        description=about,
        code_version=code_version,
        kinds={"python", *kinds},
        owners=[owner],
        tags={"stage": stage, **(tags or {})},
        retry_policy=RETRIES,
        # Without it Dagster reads "returns a MaterializeResult, and has checks" as "returns nothing".
        dagster_type=dg.Any,
        **more,
    )
    return decorator
