"""A version as one file for other programs, written aside and put in place whole.

| suffix | what |
|---|---|
| `.safetensors` | keys, vectors and composer; `load_bag` composes from it without a registry |
| `.txt` | word2vec text, as gensim, fastText and others read it |
| `.parquet` | key, vector and attributes |
| `.jaxexp` | the composer as a `jax.export` artefact, beside the `.safetensors` it can be rebuilt from |
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry import layout
from registry.compose.composer import Composer
from registry.errors import Corrupt, InvalidName, InvalidQuery, TargetExists
from registry.logs.documents import read_record, seal, unseal
from registry.records import ComposerSpec, ExportFormat
from registry.storage.local import Disk
from registry.tables.keys import text_parts
from registry.tables.tensors import map_tensors_with_metadata, tensor_chunks

if TYPE_CHECKING:
    from registry.compose.interop import Interop

_SUFFIXES: dict[str, ExportFormat] = {
    ".safetensors": "safetensors", ".txt": "word2vec", ".parquet": "parquet", ".jaxexp": "jaxexp"
}  # fmt: skip
_BLOCK = 4096  # rows of text made at a time
_METADATA = "bag"


def export_version(
    version: "Interop", path: str | Path, file_format: ExportFormat | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write `version` to `path`; returns the files written.

    Args:
        version: what to write.
        path: a file in a folder that exists.
        file_format: None goes by the suffix of `path`.
        overwrite: replace a file that is there already, in one step.

    Raises:
        InvalidName: the folder is missing, `path` is one, or the suffix says no format.
        InvalidQuery: the format cannot hold this version, such as keys with spaces in word2vec text.
        TargetExists: there is such a file.
        MissingExtra: `jaxexp` without `pip install 'embedding-assets[export]'`.
    """
    target = Path(path)
    chosen = _SUFFIXES.get(target.suffix) if file_format is None else file_format
    if chosen not in get_args(ExportFormat):
        asked = f"format {file_format!r:.80}" if file_format else f"suffix {target.suffix!r:.80}"
        raise InvalidName(f"{asked} is unknown; use one of {', '.join(f'{s} ({f})' for s, f in _SUFFIXES.items())}")
    if "://" in str(path) or not target.parent.is_dir():
        raise InvalidName(f"{str(path)!r:.200} lies in no local folder that exists; make the folder first")
    if target.is_dir():
        raise InvalidName(f"{target} is a folder; give the path of a file")
    if chosen == "safetensors":
        return [write_bag(version.composer(), target, overwrite=overwrite)]
    if chosen == "parquet":
        source = version.file(layout.VECTORS)
        return [write_aside(target, lambda aside: _copy(source, aside), overwrite=overwrite)]
    if chosen == "word2vec":
        lines = word2vec_chunks(version.keys(), version.numpy())
        return [write_aside(target, lambda aside: Disk().write(aside, lines), overwrite=overwrite)]
    from registry.compose.jax_bag import write_jax_bag  # it is large

    return write_jax_bag(version.composer(), target, overwrite=overwrite)


def write_aside(target: Path, produce: Callable[[Path], None], *, overwrite: bool) -> Path:
    """Let `produce` write a file beside `target`, sync it and put it in place in one step.

    Raises:
        TargetExists: there is such a file and `overwrite` is false.
    """
    disk, aside = Disk(), target.with_name(layout.new_temporary())
    if not overwrite and os.path.lexists(target):  # before the work; `link` below is what decides
        raise _exists(target)
    try:
        produce(aside)
        disk.sync(aside)
        if overwrite:
            aside.replace(target)
        else:
            disk.link(aside, target)
    except FileExistsError as error:
        raise _exists(target) from error
    finally:
        with suppress(FileNotFoundError):
            disk.unlink(aside)
    disk.sync(target.parent)
    return target


def _exists(target: Path) -> TargetExists:
    return TargetExists(f"{target} exists; choose another path, or pass overwrite=True")


def _copy(source: Path, aside: Path) -> None:
    shutil.copyfile(source, aside)


def word2vec_chunks(keys: pa.StringArray, vectors: np.ndarray) -> Iterator[bytes]:
    """Word2vec text in pieces: `N D`, then a line per key; numbers are the shortest that round-trip.

    Raises:
        InvalidQuery: a key holds a space or a line break, which end a word in this format.
    """
    breaks = pc.call_function("match_substring_regex", [keys], pc.MatchSubstringOptions("[ \\n]"))
    if pc.call_function("any", [breaks]).as_py():
        row = breaks.index(True).as_py()
        count = pc.call_function("sum", [breaks]).as_py()
        raise InvalidQuery(
            f"{count} of {len(keys)} keys hold a space or a line break, first {keys[row].as_py()!r:.80};"
            " word2vec text cannot say where such a key ends: export .safetensors or .parquet"
        )
    return _word2vec_lines(keys, vectors)


def _word2vec_lines(keys: pa.StringArray, vectors: np.ndarray) -> Iterator[bytes]:
    count, dim = vectors.shape
    yield b"%d %d\n" % (count, dim)
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK]
        numbers = pa.array(block.reshape(-1)).cast(pa.string())
        rows = pa.ListArray.from_arrays(np.arange(0, block.size + 1, dim, dtype=np.int32), numbers)
        joined = pc.call_function("binary_join", [rows, pa.scalar(" ")])
        lines = pc.call_function("binary_join_element_wise", [keys[start : start + _BLOCK], joined, pa.scalar(" ")])
        yield "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def write_bag(composer: Composer, target: Path, *, overwrite: bool) -> Path:
    """Keys, vectors and spec in one safetensors file, with a checksum of each tensor, its type and its shape."""
    offsets, text = text_parts(composer.keys)
    tensors = {"vectors": composer.table, "key_offsets": offsets, "key_text": text}
    if composer.factors is not None:
        tensors["factors"] = composer.factors
    facts = {
        "kind": "weighted_bag",
        "spec": asdict(composer.spec),
        "space": composer.space,
        "reference": composer.reference,
        "sha256": {name: _sha256(array) for name, array in tensors.items()},
    }
    chunks = tensor_chunks("vectors", tensors, {_METADATA: seal(facts).decode()})
    return write_aside(target, lambda aside: Disk().write(aside, chunks), overwrite=overwrite)


def load_bag(path: str | Path) -> Composer:
    """The composer in a `.safetensors` export; needs the file alone, no registry.

    >>> load_bag("bag.safetensors").compose([{"jax": 2.0, "gpu": 1.0}]).vectors.shape   # doctest: +SKIP
    (1, 64)

    The vectors stay mapped; their checksum is compared first. Keys are found by a dict.

    Raises:
        Corrupt: the file is no such export, or was altered.
    """
    path = Path(path)
    tensors, metadata = map_tensors_with_metadata(path)
    facts = unseal(metadata.get(_METADATA, "").encode(errors="replace"), f"{path}, its metadata {_METADATA!r}")
    found = {name: _sha256(array) for name, array in tensors.items()}
    if found != facts.get("sha256") or not {"vectors", "key_offsets", "key_text"} <= found.keys():
        raise Corrupt(
            f"{path} was altered: the checksums of {', '.join(sorted(found))} are not those it was written with"
        )
    keys = _keys(tensors, path)
    row_of = {key: row for row, key in enumerate(keys.to_pylist())}
    return Composer(
        spec=read_record(ComposerSpec, facts["spec"], str(path)),
        keys=keys,
        table=tensors["vectors"],
        find=lambda wanted: np.array([row_of.get(key, -1) for key in wanted.to_pylist()], np.int64),
        factors=tensors.get("factors"),
        space=facts["space"],
        reference=facts["reference"],
    )


def _keys(tensors: dict[str, Any], path: Path) -> pa.StringArray:
    offsets, text = tensors["key_offsets"], tensors["key_text"]
    keys = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
    try:
        keys.validate(full=True)
    except pa.ArrowInvalid as error:
        raise Corrupt(f"{path} holds no keys: {error}") from error
    return keys


def _sha256(array: np.ndarray) -> str:
    seen = hashlib.sha256(f"{array.dtype.name} {array.shape} ".encode())  # a header that was edited shows too
    seen.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return seen.hexdigest()
