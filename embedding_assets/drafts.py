"""From a training run to what the registry is asked to publish."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from embedding_assets.records import EmbeddingTable, TrainResult, Vocabulary, Week
from embedding_assets.spec import Composed, EmbeddingSpec, settings_of
from embedding_assets.tables.composed import compose_bags
from registry import Draft, Version
from registry.errors import UnknownKey
from registry.records import ComposerSpec

#: Arrays in a version beside the vectors: the contexts of the same keys, and what `centered` took away.
CONTEXT, MEAN = "context", "mean"


def drafts_of(
    spec: EmbeddingSpec,
    result: TrainResult,
    week: Week,
    *,
    bags: Mapping[str, pa.Table] | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Draft]:
    """One draft per entity type that is trained, then one for each that is composed, all in one space.

    Contexts of the same entity and name stay in the version as the array `context` (V, D) float32: a later warm
    start needs them, a reader does not. The trainer's extras, such as `singular_values`, go into every draft.

    Args:
        spec: what was trained.
        result: of the trainer.
        week: the newest one.
        bags: asset -> the bags of its weeks, as `sum_bags` makes them.
        stages: asset key -> settings of the stages that it was made from, for the manifest.

    Raises:
        ValueError: an extra has the name of one of our own arrays.
    """
    if taken := sorted({CONTEXT, MEAN} & set(result.extras)):
        raise ValueError(f"TrainResult.extras may not hold {taken}: a version has arrays of these names already")
    made = _Made(spec, result, week, stages or {})
    first, *others = result.tables
    one_entity = others and spec.window.column_name is None and others[0].vocabulary.entity == first.vocabulary.entity
    trained = [made.trained(first, spec.name, {CONTEXT: others[0].vectors} if one_entity else {})]
    if others and not one_entity:
        trained.append(made.trained(others[0], spec.window.column_name or spec.name, {}))
    sides = {draft.entity: draft for draft in reversed(trained)}  # of two sides of one entity, the rows
    vocabularies = {side.vocabulary.entity: side.vocabulary for side in reversed(result.tables)}
    composed = [
        made.composed(part, (bags or {})[part.bags], sides[part.of], vocabularies[part.of]) for part in spec.composed
    ]
    return [*trained, *(draft for draft in composed if len(draft.keys))]


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


@dataclass(frozen=True)
class _Made:
    """What all drafts of one training run share."""

    spec: EmbeddingSpec
    result: TrainResult
    week: Week
    stages: Mapping[str, Mapping[str, Any]]

    def trained(self, side: EmbeddingTable, name: str, extra: Mapping[str, np.ndarray]) -> Draft:
        """One side, its vectors centred where they are meant to be compared by cosine."""
        vectors, mean = centered(side.vectors) if self.spec.metric == "cosine" else (side.vectors, None)
        entity = side.vocabulary.entity
        weighted = any(part.idf and part.of == entity for part in self.spec.composed)
        return self._draft(
            entity=entity,
            name=name,
            keys=side.vocabulary.keys,
            vectors=vectors,
            window_weeks=self.spec.window.weeks,
            attributes=pa.table({"count": pa.array(side.vocabulary.counts, pa.float64())}),
            extra={**self.result.extras, **extra, **({} if mean is None else {MEAN: mean})},
            composer=ComposerSpec(weighting="idf") if weighted else ComposerSpec(),
        )

    def composed(self, part: Composed, bags: pa.Table, of: Draft, features: Vocabulary) -> Draft:
        """From the vectors as they are published, so that the registry's `compose` gives the very same."""
        table = compose_bags(bags, features, of.vectors, idf=part.idf)
        attributes = {"count": table.weights, "coverage": table.coverage}
        draft = self._draft(
            entity=part.entity,
            name=part.name or self.spec.name,
            keys=table.keys,
            vectors=table.vectors,
            window_weeks=part.weeks,
            attributes=pa.table({name: pa.array(column, pa.float64()) for name, column in attributes.items()}),
        )
        return replace(draft, training={**draft.training, "composed": asdict(part)})

    def _draft(self, **own: Any) -> Draft:
        spec, result = self.spec, self.result
        training = {
            "loss_curve": list(result.loss_curve),
            "seconds": result.seconds,
            "compile_seconds": result.compile_seconds,
            "device": result.device,
            "window": asdict(spec.window),
            "stages": {key: dict(settings) for key, settings in self.stages.items()},
            **result.metrics,
        }
        return Draft(
            metric=spec.metric,
            week=self.week,
            space=spec.name,  # who publishes makes it one training run's own
            trainer=settings_of(spec.trainer) | {"code_version": spec.code_version},
            training=training,
            **own,
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
