"""A disk that notes what is asked of it, and fails or stops for good at a chosen operation."""

import errno
import os

from registry.storage.local import Disk


class Crashed(BaseException):
    """The process is gone: nothing may catch this, and nothing works after it."""


class FaultyDisk(Disk):
    """A disk that notes each operation and fails the one with number `failing`.

    Args:
        failing: number of the operation that fails; None fails none.
        error: what it raises as OSError; None is a crash, after which every operation crashes, so that no
            clean-up runs, as after a kill.
    """

    def __init__(self, failing=None, error=errno.EIO):
        self.failing, self.error = failing, error
        self.trace = []

    def _step(self, operation, path):
        self.trace.append((operation, path))
        at = len(self.trace) - 1
        if self.failing is None or at < self.failing:
            return
        if self.error is None:
            raise Crashed
        if at == self.failing:
            raise OSError(self.error, os.strerror(self.error), str(path))

    def make_folder(self, path):
        self._step("make_folder", path)
        super().make_folder(path)

    def write(self, path, chunks):
        data = b"".join(bytes(chunk) for chunk in chunks)
        super().write(path, [data[: len(data) // 2]])
        self._step("write", path)  # fails with half of the file written
        with path.open("ab") as file:
            file.write(data[len(data) // 2 :])

    def produce(self, path, produce):
        self._step("produce", path)
        super().produce(path, produce)

    def sync(self, path):
        self._step("sync", path)
        super().sync(path)

    def link(self, source, target):
        self._step("link", target)
        super().link(source, target)

    def unlink(self, path):
        self._step("unlink", path)
        super().unlink(path)

    def remove_folder(self, path):
        self._step("remove_folder", path)
        super().remove_folder(path)

    def read(self, path):
        self._step("read", path)
        return super().read(path)

    def names(self, path):
        self._step("names", path)
        return super().names(path)

    def sizes(self, path):
        self._step("sizes", path)
        return super().sizes(path)

    def digest(self, path):
        self._step("digest", path)
        return super().digest(path)
