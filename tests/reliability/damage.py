"""Ways to damage a version on disk, by accident or with every checksum made right again, and ways to read it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from registry_samples import N, make_draft

from registry import Store, Version, layout, open_registry
from registry.logs.documents import dump, seal, unseal

#: One way to open each file of a version.
READS: dict[str, Callable[[Version], object]] = {
    layout.TABLE: lambda version: version.numpy(),
    layout.KEYS: lambda version: version.keys(),
    layout.INDEX: lambda version: version.neighbors("key3", plan="annoy"),
    layout.VECTORS: lambda version: version.attributes(),
    layout.COMPOSER: lambda version: version.compose([["key3"]]),
    layout.LINEAGE: lambda version: version.lineage(),
}


def damageable(**changes):
    """A draft whose every file can be read by `READS`."""
    return make_draft(attributes=pa.table({"count": np.arange(N)}), **changes)


def folder_of(store: Store, version: Version) -> Path:
    """Where the files of a version lie."""
    return Path(store.root) / version.entity / version.name / "versions" / version.info.attempt


def flip(data: bytes, at: int) -> bytes:
    """The data with one bit turned."""
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def mutations(data: bytes, rng: np.random.Generator, count: int) -> Iterator[bytes]:
    """`count` flipped bits, and a few truncations, a zeroed stretch, a longer file, an empty one."""
    for at in rng.integers(0, len(data), count):
        yield flip(data, int(at))
    for size in rng.integers(0, len(data), 3):
        yield data[: int(size)]
    yield data[:-1]
    yield data + b"\0"
    yield b""
    first = next(at for at, byte in enumerate(data) if byte)
    yield data[:first] + bytes(min(64, len(data) - first)) + data[first + 64 :]


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One damage of a random kind: a bit, a page of zeros, bytes gone or added."""
    at = int(rng.integers(0, len(data)))
    kind = int(rng.integers(4))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data + rng.bytes(at + 1)
    changed = (
        data[: at // 4096 * 4096] + bytes(min(4096, len(data) - at // 4096 * 4096)) + data[at // 4096 * 4096 + 4096 :]
    )
    return changed if kind == 2 and changed != data else flip(data, at)


def rewrite(store: Store, version: Version, change: Callable[[dict[str, Any], Path], object]) -> Store:
    """Let `change` alter the manifest, and files, then make every checksum right: what a forger would do."""
    folder = folder_of(store, version)
    manifest = json.loads((folder / layout.MANIFEST).read_bytes())
    change(manifest, folder)
    (folder / layout.MANIFEST).write_bytes(dump(manifest))
    log = folder.parents[1] / "log" / f"{version.number:08d}.json"
    record = unseal(log.read_bytes(), "log")
    shared = {name: manifest[name] for name in record.keys() & manifest.keys()}
    record |= shared | {"manifest": digest_of(folder / layout.MANIFEST)}
    log.write_bytes(seal(record))
    return open_registry(store.root)


def digest_of(path: Path) -> dict[str, Any]:
    """Size and checksum, as a manifest names them."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


HOSTILE = [
    "", ".", "..", "../x", "../../etc", "/etc", "/", "a/b", "a\\b", "~", "~root", "-x", "_x", "a b", "a\n", "\na",
    "a\0b", "a" * 65, "A", "WORD", "é", "ｗord", "a\u202eb", "a\u200bb", "．．", "․․", "%2e%2e", "..%2f", "a;b",
    "a'--", '"; DROP TABLE x', "$(id)", "`id`", "${HOME}", "a|b", "a>b", "*", "?", "con:", "c:\\x", "file://x",
    "a.b", ".hidden", None, 7, b"word",
]  # fmt: skip
