"""A registry in a bucket, through fsspec: `open_registry("s3://bucket/prefix")`.

An object appears whole or not at all, and durably, so there is nothing to sync. What is read is
first copied into a cache folder on this machine, under its sha256, and mapped from there: every
process of the machine shares one copy. Readers elsewhere never see a cache.

An upload of parts that was killed leaves parts that no listing shows: give the bucket a lifecycle
rule that aborts incomplete uploads after some days.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from registry.errors import InvalidName
from registry.extras import load_extra
from registry.layout import new_temporary
from registry.records import FileDigest
from registry.storage.local import Disk
from registry.storage.protocol import Chunk

# Their library creates exclusively, by If-None-Match. Others look whether the object is there and then write it,
# so that two writers both win.
_PROTOCOLS = ("s3", "s3a")
_BLOCK = 1 << 22
_TRIES = 5


def open_bucket(url: str, cache: str | Path | None = None, **options: Any) -> "ObjectStorage":
    """The storage behind a URL such as `s3://bucket/prefix`.

    Args:
        url: protocol, bucket and prefix.
        cache: folder for copies of what is read; None is `$EMBEDDINGS_CACHE`, else `~/.cache/embeddings`.
        options: of the fsspec filesystem, such as `key`, `secret` and `endpoint_url`; what is not given
            comes from fsspec's configuration and the environment (`AWS_ACCESS_KEY_ID`, ...).

    Raises:
        InvalidName: the URL names no bucket, or its protocol cannot create exclusively.
        MissingExtra: the library for the protocol is not installed.
    """
    protocol, _, path = url.partition("://")
    if protocol not in _PROTOCOLS:
        raise InvalidName(
            f"{url!r:.80}: a registry needs a store that creates a file only where there is none, in one step;"
            f" {protocol!r:.20} is not known to; use a local folder, or {', '.join(_PROTOCOLS)}://"
        )
    parts = path.strip("/").split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise InvalidName(f"{url!r:.80} names no place in a bucket; write it as {protocol}://bucket/prefix")
    return ObjectStorage(_filesystem(protocol, options), url.rstrip("/"), "/".join(parts), _cache_folder(cache))


def _filesystem(protocol: str, options: dict[str, Any]) -> Any:
    load_extra("s3fs", "s3")
    import fsspec

    # A listing of a minute ago would hide what others publish.
    return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True, **options)


def _cache_folder(cache: str | Path | None) -> Path:
    return Path(cache or os.environ.get("EMBEDDINGS_CACHE") or "~/.cache/embeddings").expanduser()


class ObjectStorage:
    """Objects under one prefix of a bucket; get one from `open_bucket`.

    Args:
        filesystem: an fsspec filesystem whose `pipe_file(mode="create")` is exclusive; the first write
            of a process tries that out.
        root: the URL, for messages.
        prefix: bucket and prefix.
        cache: folder for copies of what is read.
    """

    def __init__(self, filesystem: Any, root: str, prefix: str, cache: Path) -> None:
        self._fs = filesystem
        self._root = root
        self._prefix = prefix
        self._cache = cache
        self._disk = Disk()
        self._whole: set[Path] = set()  # cached files whose checksum this process has seen
        self._tried = False

    @property
    def root(self) -> str:
        """The URL, as it was given."""
        return self._root

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Win `path` by a conditional PUT.

        Raises:
            InvalidName: the server ignores the condition, so that two writers would both win.
            OSError: the server failed or refused.
        """
        if not self._tried:
            self._try_out()
        return self._create(self._locate(path), data)

    def read(self, path: str) -> bytes:
        """All bytes of an object; raises FileNotFoundError."""
        with self._typed(path):
            return self._fs.cat_file(self._locate(path))

    def names(self, folder: str) -> list[str]:
        """Sorted names in a folder; empty where there is none."""
        return sorted(PurePosixPath(entry["name"]).name for entry in self._entries(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Name -> bytes of each object in a folder; empty where there is none."""
        files = [entry for entry in self._entries(folder) if entry["type"] == "file"]
        return {PurePosixPath(entry["name"]).name: entry["size"] for entry in files}

    def write(self, path: str, chunks: Iterable[Chunk]) -> FileDigest:
        """Write a new object from its pieces."""
        return self.write_with(path, lambda target: self._disk.write(target, chunks))

    def write_with(self, path: str, produce: Callable[[Path], None]) -> FileDigest:
        """Let `produce` write a local file and upload it; the copy stays in the cache, for the next reader."""
        located = self._locate(path)
        with self._new_copy() as copy:
            self._disk.produce(copy, produce)
            digest = self._disk.digest(copy)
            with self._typed(path):
                self._fs.put_file(str(copy), located, mode="create")
            self._keep(copy, digest)
        return digest

    def commit(self, folder: str) -> None:
        """Nothing: an object that was acknowledged is durable, and a folder is only a part of its name."""

    def discard(self, folder: str) -> None:
        """Remove the objects of a folder; what cannot be removed stays."""
        with suppress(OSError):
            for entry in self._entries(folder):
                with suppress(FileNotFoundError), self._typed(folder):
                    self._fs.rm_file(entry["name"])

    def remove(self, path: str) -> None:
        """Remove one object; nothing happens where there is none."""
        with suppress(FileNotFoundError), self._typed(path):
            self._fs.rm_file(self._locate(path))

    def digest(self, path: str, copy: Path | None = None) -> FileDigest:
        """Size and sha256 of what the bucket holds now, read through, or of a copy; raises FileNotFoundError."""
        if copy is not None:
            return self._disk.digest(copy)
        sha256, size = hashlib.sha256(), 0
        with self._typed(path), self._fs.open(self._locate(path), "rb", block_size=_BLOCK) as file:
            while block := file.read(_BLOCK):
                sha256.update(block)
                size += len(block)
        return FileDigest(bytes=size, sha256=sha256.hexdigest())

    def open_path(self, path: str, expected: FileDigest | None = None) -> Path:
        """A copy in the cache; fetched unless a whole one with the expected checksum is there.

        The caller compares it with `expected`: an altered object is kept under the checksum it has.
        """
        if expected is not None:
            cached = self._cached(expected.sha256)
            if self._is_whole(cached, expected):
                return cached
        with self._new_copy() as copy:
            with self._typed(path):
                self._fs.get_file(self._locate(path), str(copy))
            return self._keep(copy, self._disk.digest(copy))

    def forget(self, expected: FileDigest) -> None:
        """Unlink the copy in the cache."""
        self._cached(expected.sha256).unlink(missing_ok=True)

    def _create(self, located: str, data: bytes) -> bool:
        for attempt in range(_TRIES):
            try:
                with self._typed(located):
                    self._fs.pipe_file(located, data, mode="create")
                return True
            except FileExistsError:
                # A lost answer makes the library try again, and find what it wrote itself. Records differ by who wrote
                # them, so the same bytes are ours.
                return self._fs.cat_file(located) == data
            except OSError as error:
                if not _is_race(error) or attempt + 1 == _TRIES:
                    raise
                time.sleep(0.05 * 2**attempt)  # two conditional writes met; S3 asks to try again
        return False

    def _try_out(self) -> None:
        """Some servers that speak S3 ignore the condition; better to learn it before two publishers both win."""
        probe = self._locate(f".probe-{secrets.token_hex(8)}")
        try:
            won = self._create(probe, b"first"), self._create(probe, b"second")
        finally:
            with suppress(OSError):
                self._fs.rm_file(probe)
        if won != (True, False):
            raise InvalidName(
                f"{self.root}: this server overwrites where it was asked to create; it cannot hold a registry"
            )
        self._tried = True

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        located = self._locate(folder)
        try:
            with self._typed(folder):
                found = self._fs.ls(located, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [entry for entry in found if entry["name"].rstrip("/") != located]

    def _locate(self, path: str) -> str:
        if {"..", "."} & set(path.split("/")) or path.startswith("/"):
            raise InvalidName(f"{path!r:.80} lies outside the registry {self.root}")
        return f"{self._prefix}/{path}".rstrip("/")

    def _cached(self, sha256: str) -> Path:
        return self._cache / sha256[:2] / sha256

    def _is_whole(self, cached: Path, expected: FileDigest) -> bool:
        if cached in self._whole:
            return cached.exists()
        try:
            found = self._disk.digest(cached)
        except FileNotFoundError:
            return False
        if found == expected:
            self._whole.add(cached)
        return found == expected

    def _keep(self, copy: Path, digest: FileDigest) -> Path:
        """Give a copy its name. A reader may have the older one of that name mapped: it stays as it is, unlinked."""
        cached = self._cached(digest.sha256)
        cached.parent.mkdir(parents=True, exist_ok=True)
        copy.replace(cached)
        self._whole.add(cached)
        return cached

    @contextmanager
    def _new_copy(self) -> Iterator[Path]:
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy = self._cache / new_temporary()
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    @contextmanager
    def _typed(self, path: str) -> Iterator[None]:
        """Errors of the client library that are no OSError, such as of a name that does not resolve, become one."""
        try:
            yield
        except (OSError, InvalidName):
            raise
        except Exception as error:
            raise OSError(f"{self.root}: {path}: {type(error).__name__}: {error}") from error


def _is_race(error: OSError) -> bool:
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") == "ConditionalRequestConflict"
