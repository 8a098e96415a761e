"""What the registry asks of a place to keep files; a local folder and a bucket both grant it.

The one primitive that decides anything is *put-if-absent*. No rename, lock or symbolic link is
needed, so a bucket can grant it too (S3 `If-None-Match: *`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from registry.records import FileDigest

Chunk = bytes | memoryview


class Storage(Protocol):
    """A place to keep files; paths are relative and use `/`. Any method may raise OSError."""

    @property
    def root(self) -> str:
        """Where it is, for messages."""
        ...

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Make `path` hold `data`, durably, unless it exists; whether this call made it."""
        ...

    def read(self, path: str) -> bytes:
        """All bytes of a small file; raises FileNotFoundError."""
        ...

    def names(self, folder: str) -> list[str]:
        """Sorted names in a folder; empty where there is none."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Name -> bytes of each file in a folder; empty where there is none."""
        ...

    def write(self, path: str, chunks: Iterable[Chunk]) -> FileDigest:
        """Write a new file from its pieces, durably."""
        ...

    def write_with(self, path: str, produce: Callable[[Path], None]) -> FileDigest:
        """Let a library write a new file by itself, then make it durable."""
        ...

    def commit(self, folder: str) -> None:
        """Make the names in `folder`, and the way to it, durable."""
        ...

    def discard(self, folder: str) -> None:
        """Remove a folder that no log names, as far as that is possible; never raises OSError."""
        ...

    def remove(self, path: str) -> None:
        """Remove one file, durably; nothing happens where there is none."""
        ...

    def digest(self, path: str, copy: Path | None = None) -> FileDigest:
        """Size and checksum of what is stored, or of the `copy` that `open_path` gave; raises FileNotFoundError."""
        ...

    def open_path(self, path: str, expected: FileDigest | None = None) -> Path:
        """A local file to map, whose bytes the caller compares with `expected`; raises FileNotFoundError.

        Args:
            path: the file.
            expected: what it should be; with it, a copy that is already here need not be fetched.
        """
        ...

    def forget(self, expected: FileDigest) -> None:
        """Drop what this machine keeps of a file besides the stored one."""
        ...
