"""The files of one version, opened only after their bytes were compared with the manifest."""

from collections.abc import Iterator
from pathlib import Path

from registry import layout
from registry.errors import Corrupt
from registry.logs.documents import read_manifest
from registry.records import FileDigest, VersionInfo
from registry.storage.protocol import Storage

# Files found whole in this process: path, checksum, and what `stat` said; one that was touched since is read again.
_verified: set[tuple[str, str, int, int]] = set()


class VersionFiles:
    """Verified access to one attempt's folder: manifest, size, checksum, and only then the file.

    Why before parsing: of 150 one-bit flips in an Annoy file 8 crashed the process and 13 gave
    wrong answers without a word, and a truncated one loads and then crashes.

    Raises:
        Corrupt: the manifest is missing, altered, or names files that a version does not have.
    """

    def __init__(self, storage: Storage, info: VersionInfo) -> None:
        if not layout.is_attempt(info.attempt):
            raise Corrupt(f"{info.reference} names the folder {info.attempt!r:.80}, which no publisher makes")
        self._storage = storage
        self._folder = layout.Place(info.entity, info.name).attempt(info.attempt)
        path = f"{self._folder}/{layout.MANIFEST}"
        data = open_verified(storage, path, info.manifest).read_bytes()
        self.manifest = read_manifest(data, path)
        self._check_manifest(info, path)

    def open(self, name: str) -> Path:
        """A local path to a file whose bytes are what the manifest says.

        Raises:
            Corrupt: the file is missing, truncated or altered.
        """
        return open_verified(self._storage, f"{self._folder}/{name}", self.manifest.files[name])

    def read(self, name: str) -> bytes:
        """All bytes of a small file; raises Corrupt."""
        return self.open(name).read_bytes()

    def verify(self) -> Iterator[tuple[str, int, str | None]]:
        """Hash every file again: (name, bytes, what is wrong or None)."""
        for name, expected in self.manifest.files.items():
            path = f"{self._folder}/{name}"
            try:
                check_digest(self._storage, path, expected)
            except (Corrupt, OSError) as error:
                yield name, 0, str(error)
            else:
                yield name, expected.bytes, None

    def _check_manifest(self, info: VersionInfo, path: str) -> None:
        manifest = self.manifest
        if manifest.schema != layout.SCHEMA:
            raise Corrupt(f"{path} says schema {manifest.schema!r:.80}; this release reads {layout.SCHEMA}: upgrade it")
        optional = {layout.GRAPH} if manifest.graph else set()
        strange = sorted(set(manifest.files) ^ {*layout.FILES, *optional})
        if strange:
            raise Corrupt(f"{path} must name {', '.join(layout.FILES)}; it differs in {', '.join(map(ascii, strange))}")
        for field in ("entity", "name", "week", "count", "dim", "metric", "space"):
            said, logged = getattr(manifest, field), getattr(info, field)
            if said != logged:
                raise Corrupt(f"{path} says {field} {said!r}, the log of {info.reference} {logged!r}")


def open_verified(storage: Storage, path: str, expected: FileDigest) -> Path:
    """A local path to a file whose bytes are what was written; each file is hashed once a process.

    Raises:
        Corrupt: the file is missing, truncated or altered.
    """
    try:
        local = storage.open_path(path, expected)
    except FileNotFoundError as error:
        raise Corrupt(f"{path} is missing") from error
    state = local.stat()
    mark = (str(local.absolute()), expected.sha256, state.st_ino, state.st_mtime_ns)
    if mark not in _verified or state.st_size != expected.bytes:
        check_digest(storage, path, expected, local)
        _verified.add(mark)
    return local


def check_digest(storage: Storage, path: str, expected: FileDigest, copy: Path | None = None) -> None:
    """Hash what is stored, or the copy of it on this machine, whether or not it was verified before.

    Raises:
        Corrupt: the file is missing, truncated or altered.
    """
    try:
        found = storage.digest(path, copy)
    except FileNotFoundError as error:
        raise Corrupt(f"{path} is missing") from error
    if found.bytes != expected.bytes:
        raise Corrupt(
            f"{path} has {found.bytes} bytes, the manifest says {expected.bytes}; restore it or publish again"
        )
    if found.sha256 != expected.sha256:
        raise Corrupt(
            f"{path} was altered: its sha256 begins {found.sha256[:12]}, the manifest says {expected.sha256[:12]}"
        )
