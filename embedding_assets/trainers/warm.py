"""Where a fit begins from earlier vectors: tables of an earlier run in, vectors in this run's order out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedding_assets.records import EmbeddingTable, PairTable, Vocabulary
from embedding_assets.trainers.errors import InvalidInit


class Known(NamedTuple):
    """Earlier vectors of one side, in the order of today's vocabulary.

    Attributes:
        vectors: (V, D) float32; 0 where the key is new.
        known: (V,) bool.
    """

    vectors: np.ndarray
    known: np.ndarray


def known_sides(table: PairTable, init: Sequence[EmbeddingTable], dim: int) -> tuple[Known, Known]:
    """Centers and contexts of `init` for the keys of `table`.

    Raises:
        InvalidInit: not one table a side, or one of another entity or width, or with vectors that are not finite.
    """
    if len(init) != 2:
        raise InvalidInit(f"init holds {len(init)} tables; give 2, the centers and then the contexts")
    centers, contexts = init
    return (
        known_vectors("init[0]", table.rows, centers, dim),
        known_vectors("init[1]", table.columns, contexts, dim),
    )


def known_vectors(name: str, vocabulary: Vocabulary, earlier: EmbeddingTable, dim: int) -> Known:
    """Vectors of those keys of `vocabulary` that `earlier` has too.

    Raises:
        InvalidInit: another entity or width, or vectors that are not finite; the message begins with `name`.
    """
    if earlier.vocabulary.entity != vocabulary.entity:
        raise InvalidInit(
            f"{name} holds vectors of {earlier.vocabulary.entity!r}, but the table's keys are {vocabulary.entity!r}"
        )
    if earlier.vectors.shape != (len(earlier.vocabulary), dim):
        raise InvalidInit(
            f"{name} has vectors of shape {earlier.vectors.shape} for {len(earlier.vocabulary)} keys, "
            f"but this trainer's dim is {dim}; train with that dim, or without init"
        )
    if broken := np.count_nonzero(~np.isfinite(earlier.vectors).all(axis=1)):
        raise InvalidInit(f"{broken} of {len(earlier.vectors)} vectors of {name} are not finite")
    import pyarrow.compute as pc  # only a warm start pays for it

    places = pc.index_in(vocabulary.keys, value_set=earlier.vocabulary.keys)  # pyright: ignore[reportAttributeAccessIssue] - made when pyarrow is imported
    known = places.is_valid().to_numpy(zero_copy_only=False)
    vectors = np.zeros((len(vocabulary), dim), np.float32)
    vectors[known] = earlier.vectors[places.drop_null().to_numpy()]
    return Known(vectors, known)
