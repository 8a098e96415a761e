"""A training run's state in one file, so that a killed run goes on where it was, to the same bytes.

In: arrays and the losses so far, after each epoch. Out: the same, in a later process that does the same work.
"""

import json
import logging
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from hashlib import sha256
from pathlib import Path

import jax
import jaxlib
import numpy as np
import scipy

from embedding_assets.records import EmbeddingTable, PairTable

logger = logging.getLogger(__name__)

_FACTS = "facts"


def code_version(folder: Path) -> str:
    """Hash of the names and bytes of the Python files in `folder`."""
    digest = sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


#: What computes: the trainers' code and the libraries under it. Taken on import, for a process runs what it has loaded,
#: whatever is installed over it later.
CODE = " ".join([code_version(Path(__file__).parent), *(lib.__version__ for lib in (jax, jaxlib, np, scipy))])


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
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
            logger.warning("checkpoint %s cannot be read (%s); training begins at the start", self._path, error)
        return None

    def save(self, losses: Sequence[float], arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the file, atomically; a kill at any moment leaves the old one or the new one.

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
    """Hash of all that decides a run's result: code, device, settings, counted pairs, vocabularies, first vectors.

    Code is that of this package alone: a trainer that lives elsewhere is told from its earlier self by its settings.
    """
    # another kind of device rounds in another way
    facts = (CODE, jax.local_devices()[0].device_kind, settings, table.rows is table.columns)
    digest = sha256(repr(facts).encode())
    for chunk in _contents(table, init or ()):
        digest.update(chunk)
    return digest.hexdigest()


def _contents(table: PairTable, init: Sequence[EmbeddingTable]) -> Iterator[bytes | memoryview]:
    """All bytes of all arrays and keys, each array after its type and shape."""
    vocabularies = [table.rows, table.columns, *(side.vocabulary for side in init)]
    arrays = [table.row_ids, table.col_ids, table.counts, *(side.vectors for side in init)]
    # how often an id occurs decides how often it is a negative
    for array in (*arrays, *(vocabulary.counts for vocabulary in vocabularies)):
        yield f"{array.dtype} {array.shape}\n".encode()
        yield np.ascontiguousarray(array).data
    for vocabulary in vocabularies:
        yield "\0".join(vocabulary.keys.to_pylist()).encode()
