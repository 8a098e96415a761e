"""Settings from environment variables, read once and checked."""

import os
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

MEMORY = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)
Device = Literal["auto", "cpu", "gpu"]


class SettingError(ValueError):
    """An environment variable has a value that cannot be used; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things lie and what they may use.

    Attributes:
        home: `EMBEDDINGS_HOME`: lake, registry, caches and Dagster's own home lie below it.
        device: `EMBEDDINGS_DEVICE`: `auto`, `cpu` or `gpu`.
        memory_limit: `EMBEDDINGS_MEMORY`: what DuckDB may use in one step, such as `8GB`.
        word_similarity: `EMBEDDINGS_WORD_SIMILARITY`: files of word, word, human score, joined by `:`.
        analogy: `EMBEDDINGS_ANALOGY`: files of four words a line, joined by `:`.
        webhook: `EMBEDDINGS_WEBHOOK`: where notices of held back versions and of drift are posted.
    """

    home: Path
    device: Device
    memory_limit: str
    word_similarity: tuple[Path, ...]
    analogy: tuple[Path, ...]
    webhook: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings in `environ`; a relative path starts at the working directory.

        Raises:
            SettingError: a value is wrong, or a file it names does not exist.
        """
        device = environ.get("EMBEDDINGS_DEVICE") or "auto"
        if device not in get_args(Device):
            raise SettingError(f"EMBEDDINGS_DEVICE must be one of {get_args(Device)}, got {device!r}")
        memory = environ.get("EMBEDDINGS_MEMORY") or "8GB"
        if not MEMORY.fullmatch(memory):
            raise SettingError(f"EMBEDDINGS_MEMORY must look like 8GB or 500MiB, got {memory!r}")
        webhook = environ.get("EMBEDDINGS_WEBHOOK") or None
        if webhook and not webhook.startswith(("http://", "https://")):
            raise SettingError("EMBEDDINGS_WEBHOOK must begin with http:// or https://")  # its value may be a secret
        return cls(
            home=Path(environ.get("EMBEDDINGS_HOME") or "data").expanduser().resolve(),
            device=cast("Device", device),
            memory_limit=memory,
            word_similarity=_files(environ, "EMBEDDINGS_WORD_SIMILARITY"),
            analogy=_files(environ, "EMBEDDINGS_ANALOGY"),
            webhook=webhook,
        )


def _files(environ: Mapping[str, str], variable: str) -> tuple[Path, ...]:
    """The files that a variable names; their names become names of scores, so they differ."""
    named = environ.get(variable, "")
    files = tuple(Path(part).resolve() for part in named.split(os.pathsep) if part)
    if absent := [str(file) for file in files if not file.is_file()]:
        raise SettingError(f"{variable} names files that do not exist: {absent}")
    if len({file.stem for file in files}) < len(files):
        raise SettingError(f"{variable} needs files of different names, got {named!r}")
    return files


def claim_home(home: Path, source: str) -> None:
    """Bind `home` to one source: weeks of two sources must not mix in one lake.

    Args:
        home: the project's home.
        source: the source's fingerprint.

    Raises:
        SettingError: the home belongs to another source.
    """
    marker = home / "SOURCE"
    if not marker.is_file():
        _put_if_absent(marker, f"{source}\n")
    owner = marker.read_text().strip()
    if owner != source:
        raise SettingError(
            f"EMBEDDINGS_HOME {home} holds data of the source {owner!r}, not of {source!r}; "
            "set EMBEDDINGS_HOME to another folder, one for each source and its settings"
        )


def _put_if_absent(file: Path, text: str) -> None:
    """Write `file` whole, unless another process has been faster."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    temporary.write_text(text)
    with suppress(FileExistsError):
        file.hardlink_to(temporary)
    temporary.unlink()
