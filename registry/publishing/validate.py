"""May this draft be published? Everything is checked before the first file is touched."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from registry.compose.composer import key_weights
from registry.errors import InvalidEmbedding, InvalidQuery
from registry.layout import check_name, is_monday, is_name
from registry.logs.documents import dump
from registry.records import Draft, Metric
from registry.tables.keys import same_text, text_parts
from registry.tables.tensors import can_store

KEY_BYTES = 256
_RESERVED = {"key", "vector"}


def check_draft(draft: Draft) -> None:
    """Refuse what no reader should ever meet.

    Raises:
        InvalidName: entity or name may not become a folder.
        InvalidEmbedding: something in it is wrong; the message names the key or the field.
    """
    check_name("entity", draft.entity)
    check_name("embedding name", draft.name)
    check_keys(draft.keys)
    _check_vectors(draft.keys, draft.vectors)
    _check_attributes(draft)
    _check_composer(draft)
    for name, array in draft.extra.items():
        _check_extra(name, array)
    _check_fields(draft)


def check_keys(keys: pa.StringArray) -> None:
    """Refuse keys that are not text, or empty, null, repeated, too long or with a NUL; raises InvalidEmbedding."""
    if not isinstance(keys, pa.StringArray):
        raise InvalidEmbedding(f"keys are {type(keys).__name__}; publish a pyarrow StringArray")
    if not len(keys):
        raise InvalidEmbedding("keys are empty; a version holds at least one vector")
    if keys.null_count:
        raise InvalidEmbedding(f"the key of row {_first(keys.is_null())} is null")
    try:
        keys.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InvalidEmbedding(f"keys are not UTF-8: {error}") from error
    _check_key_text(keys)
    if len(keys.unique()) != len(keys):
        counts = keys.value_counts()
        twice = counts.field("values")[_first(pa.array(np.asarray(counts.field("counts")) > 1))].as_py()
        rows = np.flatnonzero(same_text(keys, pa.scalar(twice)))
        raise InvalidEmbedding(f"key {twice!r:.80} appears {len(rows)} times, first in rows {rows[0]} and {rows[1]}")


def _check_key_text(keys: pa.StringArray) -> None:
    offsets, text = text_parts(keys)
    lengths = np.diff(offsets)
    if not lengths.all():
        raise InvalidEmbedding(f"the key of row {lengths.argmin()} is empty")
    if lengths.max() > KEY_BYTES:
        row = int(lengths.argmax())
        raise InvalidEmbedding(f"the key of row {row} has {lengths[row]} bytes, at most {KEY_BYTES} are allowed")
    if not text.all():
        row = int(np.searchsorted(offsets, int(text.argmin()), side="right")) - 1
        raise InvalidEmbedding(f"key {keys[row].as_py()!r:.80} of row {row} contains NUL")


def _check_vectors(keys: pa.StringArray, vectors: np.ndarray) -> None:
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32:
        kind = vectors.dtype if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise InvalidEmbedding(f"vectors are {kind}; publish a float32 numpy array")
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise InvalidEmbedding(f"vectors have shape {vectors.shape}; publish (N, D) with D at least 1")
    if len(vectors) != len(keys):
        raise InvalidEmbedding(f"{len(keys)} keys but {len(vectors)} vectors; publish them from one table")
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors)  # a NaN or an infinity anywhere shows in its row
    if not np.isfinite(squares).all():
        row = int(np.argmin(np.isfinite(squares)))
        what = "is too long for float32" if np.isfinite(vectors[row]).all() else "holds NaN or infinity"
        raise InvalidEmbedding(f"the vector of key {keys[row].as_py()!r:.80} (row {row}) {what}")


def _check_attributes(draft: Draft) -> None:
    if draft.attributes is None:
        return
    names = draft.attributes.column_names
    if draft.attributes.num_rows != len(draft.keys):
        raise InvalidEmbedding(
            f"attributes have {draft.attributes.num_rows} rows for {len(draft.keys)} keys; give one row per key"
        )
    folded = {name.lower() for name in names}  # SQL does not tell `Count` from `count`
    if len(folded) != len(names) or _RESERVED & folded or not all(names):
        raise InvalidEmbedding(
            f"attribute columns are {names}; names differ in more than case, are not empty, not 'key' or 'vector'"
        )


def _check_composer(draft: Draft) -> None:
    try:
        key_weights(draft.composer, draft.attributes)
    except InvalidQuery as error:
        raise InvalidEmbedding(f"composer: {error}") from error


def _check_extra(name: str, array: np.ndarray) -> None:
    if not is_name(name) or name == "vectors":
        raise InvalidEmbedding(f"extra array {name!r:.80} needs a name of a-z, 0-9, '_', '-', other than 'vectors'")
    if not isinstance(array, np.ndarray) or not can_store(array):
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InvalidEmbedding(f"extra array {name!r} is {kind}; use a numpy array of numbers or booleans")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.unravel_index(np.argmin(np.isfinite(array)), array.shape))
        raise InvalidEmbedding(f"extra array {name!r} holds NaN or infinity at {at}")


def _check_fields(draft: Draft) -> None:
    if draft.metric not in get_args(Metric):
        raise InvalidEmbedding(f"metric {draft.metric!r:.80} is unknown; use one of {', '.join(get_args(Metric))}")
    if draft.week is not None and not is_monday(draft.week):
        raise InvalidEmbedding(f"week {draft.week!r:.80} is no Monday; write it as 2026-01-05")
    if draft.window_weeks is not None and draft.window_weeks < 1:
        raise InvalidEmbedding(f"window_weeks is {draft.window_weeks}; it is at least 1, or None")
    if not isinstance(draft.space, str) or not draft.space:
        raise InvalidEmbedding(f"space {draft.space!r:.80} is empty; derive it from the training run")
    fields: Mapping[str, Any] = {
        "trainer": draft.trainer, "training": draft.training, "lineage": draft.lineage,
        "space": draft.space, "created_by": draft.created_by,
    }  # fmt: skip
    for name, value in fields.items():
        try:
            dump(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidEmbedding(f"{name} cannot be written as JSON: {error}") from error


def _first(mask: pa.BooleanArray) -> int:
    return int(mask.index(True).as_py())
