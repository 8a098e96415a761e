"""A registry in a local folder.

Put-if-absent is `link`, which fails where a name exists: no rename, lock or symbolic link is
needed. Nothing that a reader may have mapped is ever overwritten or truncated; an unlinked file
lives on until the last reader has closed it.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from registry.errors import InvalidName
from registry.layout import new_temporary
from registry.records import FileDigest
from registry.storage.protocol import Chunk


class Disk:
    """The system calls under `LocalStorage`, one method each, so that a drill can fail any."""

    def make_folder(self, path: Path) -> None:
        """Create one folder unless it exists."""
        path.mkdir(exist_ok=True)

    def write(self, path: Path, chunks: Iterable[Chunk]) -> None:
        """Create a file that must not exist and write `chunks` to it."""
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)

    def produce(self, path: Path, produce: Callable[[Path], None]) -> None:
        """Let `produce` write the file by its own means."""
        produce(path)

    def sync(self, path: Path) -> None:
        """Force a file or a folder to stable storage."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; raises FileExistsError."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        """Remove one name of a file."""
        path.unlink()

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""
        return path.read_bytes()

    def names(self, path: Path) -> list[str]:
        """Names in a folder, in no order."""
        return [entry.name for entry in path.iterdir()]

    def sizes(self, path: Path) -> dict[str, int]:
        """Name -> bytes of the files in a folder, in no order."""
        with os.scandir(path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def digest(self, path: Path) -> FileDigest:
        """Size and sha256 of a file's bytes."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return FileDigest(bytes=os.fstat(file.fileno()).st_size, sha256=sha256)


class LocalStorage:
    """A folder on a disk.

    Raises:
        InvalidName: the root is a file; later, a path whose real place is outside the root.
    """

    def __init__(self, root: str | Path, disk: Disk | None = None) -> None:
        self._root = Path(root)
        self._disk = disk or Disk()
        if self._root.exists() and not self._root.is_dir():
            raise InvalidName(f"{self._root} is a file; a registry's root is a folder")

    @property
    def root(self) -> str:
        """The folder, as it was given."""
        return str(self._root)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Win `path` by `link`, which fails where a name exists: temp < fsync < link < fsync."""
        target = self._locate(path)
        self._make_folders(target.parent)
        temporary = target.with_name(new_temporary())
        try:
            self._disk.write(temporary, [data])
            self._disk.sync(temporary)
            self._disk.link(temporary, target)
            won = True
        except FileExistsError:
            won = False
        finally:
            with suppress(OSError):  # left over at worst; no reader looks at it
                self._disk.unlink(temporary)
        # The loser syncs too: it may act on the winner's entry before the winner has synced it.
        self._sync_up(target.parent)
        return won

    def read(self, path: str) -> bytes:
        """All bytes of a small file; raises FileNotFoundError."""
        return self._disk.read(self._locate(path))

    def names(self, folder: str) -> list[str]:
        """Sorted names in a folder; empty where there is none."""
        try:
            return sorted(self._disk.names(self._locate(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self, folder: str) -> dict[str, int]:
        """Name -> bytes of each file in a folder; empty where there is none."""
        try:
            return dict(sorted(self._disk.sizes(self._locate(folder)).items()))
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def write(self, path: str, chunks: Iterable[Chunk]) -> FileDigest:
        """Write a new file from its pieces and force it to disk; returns what can be read back."""
        return self.write_with(path, lambda target: self._disk.write(target, chunks))

    def write_with(self, path: str, produce: Callable[[Path], None]) -> FileDigest:
        """Let `produce` write the file, force it to disk; returns what can be read back."""
        target = self._locate(path)
        self._make_folders(target.parent)
        self._disk.produce(target, produce)
        self._disk.sync(target)
        return self._disk.digest(target)

    def commit(self, folder: str) -> None:
        """Sync the folder and each one above it, up to the root."""
        self._sync_up(self._locate(folder))

    def discard(self, folder: str) -> None:
        """Remove the files of a folder and the folder; what cannot be removed stays."""
        with suppress(OSError):
            path = self._locate(folder)
            for name in self._disk.names(path):
                self._disk.unlink(path / name)
            self._disk.remove_folder(path)

    def remove(self, path: str) -> None:
        """Unlink one file and sync its folder; nothing happens where there is none."""
        located = self._locate(path)
        with suppress(FileNotFoundError):
            self._disk.unlink(located)
            self._disk.sync(located.parent)

    def digest(self, path: str, copy: Path | None = None) -> FileDigest:
        """Size and sha256 of what is stored; raises FileNotFoundError."""
        return self._disk.digest(copy or self._locate(path))

    def open_path(self, path: str, expected: FileDigest | None = None) -> Path:
        """The file itself; raises FileNotFoundError."""
        located = self._locate(path)
        if not located.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(located))
        return located

    def forget(self, expected: FileDigest) -> None:
        """Nothing: a folder has no copies."""

    def _locate(self, path: str) -> Path:
        located = self._root / path
        if not located.resolve().is_relative_to(self._root.resolve()):
            raise InvalidName(f"{path!r} lies outside the registry {self.root}")
        return located

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            self._disk.make_folder(path)
            if self._root.is_relative_to(path):  # the root and what is above it; `_sync_up` does the rest
                self._disk.sync(path.parent)

    def _sync_up(self, folder: Path) -> None:
        # All the way up: a folder that another publisher has just made may not be durable yet.
        while folder != self._root:
            self._disk.sync(folder)
            folder = folder.parent
        self._disk.sync(self._root)
