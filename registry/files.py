"""The files of one version, opened only after their bytes were compared with the manifest."""

from collections.abc import Iterator
from pathlib import Path

from registry import layout
from registry.documents import read_manifest
from registry.errors import Corrupt
from registry.records import FileDigest, VersionInfo
from registry.storage import Storage

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
        data = self._open(layout.MANIFEST, info.manifest).read_bytes()
        self.manifest = read_manifest(data, path)
        self._check_manifest(info, path)

    def open(self, name: str) -> Path:
        """A local path to a file whose bytes are what the manifest says.

        Raises:
            Corrupt: the file is missing, truncated or altered.
        """
        return self._open(name, self.manifest.files[name])

    def read(self, name: str) -> bytes:
        """All bytes of a small file; raises Corrupt."""
        return self.open(name).read_bytes()

    def verify(self) -> Iterator[tuple[str, int, str | None]]:
        """Hash every file again: (name, bytes, what is wrong or None)."""
        for name, expected in self.manifest.files.items():
            path = f"{self._folder}/{name}"
            try:
                self._compare(path, expected)
            except (Corrupt, OSError) as error:
                yield name, 0, str(error)
            else:
                yield name, expected.bytes, None

    def _open(self, name: str, expected: FileDigest) -> Path:
        path = f"{self._folder}/{name}"
        try:
            local = self._storage.open_path(path)
        except FileNotFoundError as error:
            raise Corrupt(f"{path} is missing") from error
        state = local.stat()
        mark = (str(local.absolute()), expected.sha256, state.st_ino, state.st_mtime_ns)
        if mark not in _verified or state.st_size != expected.bytes:
            self._compare(path, expected)
            _verified.add(mark)
        return local

    def _compare(self, path: str, expected: FileDigest) -> None:
        try:
            found = self._storage.digest(path)
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

    def _check_manifest(self, info: VersionInfo, path: str) -> None:
        manifest = self.manifest
        strange = sorted(set(manifest.files) ^ set(layout.FILES))
        if strange:
            raise Corrupt(f"{path} must name {', '.join(layout.FILES)}; it differs in {', '.join(map(ascii, strange))}")
        for field in ("entity", "name", "week", "count", "dim", "metric", "space"):
            said, logged = getattr(manifest, field), getattr(info, field)
            if said != logged:
                raise Corrupt(f"{path} says {field} {said!r}, the log of {info.reference} {logged!r}")
