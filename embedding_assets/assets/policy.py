"""What holds for every asset, said once: partitions, retries, storage, kinds, tags."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import dagster as dg

from benchmarks.task import BenchmarkError
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.tables.errors import TableError
from embedding_assets.trainers.errors import TrainerError
from embedding_assets.tuning.errors import TuningError
from registry.errors import Corrupt, NotFound

#: For what passes by itself, such as a full disk. Missing inputs and wrong data raise Failures that are not retried.
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


#: Wrong data and wrong settings: the same again would fail the same way. (`Conflict` is not among them.)
PERMANENT = (SourceError, TableError, TrainerError, TuningError, BenchmarkError, Corrupt, NotFound)

Materialize = Callable[..., dg.MaterializeResult]


def not_retried(materialize: Materialize) -> Materialize:
    """Turn `PERMANENT` errors into a failure that is not retried, with the same message."""

    @wraps(materialize)
    def run(*given: Any, **named: Any) -> dg.MaterializeResult:
        try:
            return materialize(*given, **named)
        except PERMANENT as error:
            raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error

    return run


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
    asset: Any = dg.asset(
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
    return lambda materialize: asset(not_retried(materialize))
