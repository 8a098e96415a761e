"""A training run's state in one file, so that a killed run goes on where it was, to the same bytes.

In: arrays and the losses so far, after each epoch. Out: the same, in a later process that does the same work.
"""

import json
import logging
import os
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from hashlib import sha256
from pathlib import Path

import numpy as np

from embedding_assets.records import EmbeddingTable, PairTable

logger = logging.getLogger(__name__)

_FACTS = "facts"


@dataclass(frozen=True, kw_only=True, eq=False)
class Saved:
    """What a checkpoint holds.

    Attributes:
        losses: the loss after each epoch that is done.
        arrays: the trainer's own state, as it was given to `save`.
    """

    losses: tuple[float, ...]
    arrays: Mapping[str, np.ndarray]


class Checkpoint:
    """The state of one piece of work; `path` None keeps nothing.

    A file of other work (other settings, another table) is replaced. So is a damaged one, with a warning: training
    from the start costs time, refusing to train would cost the week.
    """

    def __init__(self, path: Path | None, work: str) -> None:
        self._path = path
        self._work = work

    def load(self) -> Saved | None:
        """What the same work saved last; None where it has to begin at the start.

        Also sweeps up what a save that was killed left behind.
        """
        if self._path is None:
            return None
        for half in self._path.parent.glob(f".{escape(self._path.name)}.*"):
            half.unlink(missing_ok=True)
        if not self._path.exists():
            return None
        try:
            # the zip's own CRC-32 finds altered bytes
            with self._path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
            if facts["work"] == self._work:
                return Saved(losses=tuple(facts["losses"]), arrays=arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("checkpoint %s cannot be read (%s); training begins at the start", self._path, error)
        return None

    def save(self, losses: Sequence[float], arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the file, atomically and durably; a kill at any moment leaves the old one or the new one.

        Raises:
            OSError: the disk failed or is full; the old file is as it was.
        """
        if self._path is None:
            return
        facts = json.dumps({"work": self._work, "losses": [float(loss) for loss in losses]})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            with aside.open("xb") as file:
                np.savez(file, **{_FACTS: np.frombuffer(facts.encode(), np.uint8)}, **arrays)  # pyright: ignore[reportArgumentType] - names are the trainers'
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
        finally:
            aside.unlink(missing_ok=True)

    def remove(self) -> None:
        """The work is done: forget it."""
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()


def checkpoint_of(
    path: Path | None, settings: object, table: PairTable, init: Sequence[EmbeddingTable] | None = None
) -> Checkpoint:
    """The checkpoint of this work at `path`; nothing is hashed where there is none."""
    return Checkpoint(path, work_of(settings, table, init) if path else "")


def work_of(settings: object, table: PairTable, init: Sequence[EmbeddingTable] | None = None) -> str:
    """Hash of all that decides a run's result: settings, counted pairs, keys, first vectors."""
    digest = sha256(repr(settings).encode())
    arrays = [table.row_ids, table.col_ids, table.counts, *(side.vectors for side in init or ())]
    vocabularies = [table.rows, table.columns, *(side.vocabulary for side in init or ())]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    for vocabulary in vocabularies:
        digest.update("\0".join(vocabulary.keys.to_pylist()).encode())
    return digest.hexdigest()
