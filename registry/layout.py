"""Where everything lies under a registry's root, and which names may appear there.

    <entity>/<name>/versions/<attempt>/   the files of one version
    <entity>/<name>/log/00000007.json     version 7 is this attempt
    <entity>/<name>/scores/00000012.json  one benchmark result

Paths are relative to the root and use `/`, so that they also name objects in a bucket.
"""

import datetime as dt
import re
import secrets
from dataclasses import dataclass

from registry.errors import BadReference, InvalidName

SCHEMA = 1

MANIFEST = "MANIFEST.json"
VECTORS = "vectors.parquet"
TABLE = "table.safetensors"
KEYS = "keys.idx"
INDEX = "index.ann"
LINEAGE = "lineage.json"
FILES = (VECTORS, TABLE, KEYS, INDEX, LINEAGE)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ATTEMPT = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{12}")
_NUMBERED = re.compile(r"([0-9]{8})\.json")
_SELECTOR = re.compile(r"latest|v(?P<number>[1-9][0-9]{0,7})|(?P<week>[0-9]{4}-[0-9]{2}-[0-9]{2})")


def check_name(kind: str, name: object) -> str:
    """Return `name` if it may become a folder.

    Raises:
        InvalidName: it is not `[a-z0-9][a-z0-9_-]{0,63}`.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName(
        f"{kind} {_shown(name)} is not allowed; use 1 to 64 of a-z, 0-9, '_' and '-',"
        " beginning with a letter or a digit"
    )


def is_name(text: str) -> bool:
    """Whether `text` may name an entity or an embedding."""
    return _NAME.fullmatch(text) is not None


def is_attempt(text: str) -> bool:
    """Whether `text` could have come from `new_attempt`."""
    return _ATTEMPT.fullmatch(text) is not None


def is_monday(text: object) -> bool:
    """Whether `text` is a date `YYYY-MM-DD` that falls on a Monday."""
    if not isinstance(text, str) or len(text) != 10:
        return False
    try:
        return dt.date.fromisoformat(text).weekday() == 0
    except ValueError:
        return False


def new_attempt() -> str:
    """A folder name that no other publisher has, ordered by time."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(6)}"


def numbered(number: int) -> str:
    """File name of entry `number` of a log."""
    return f"{number:08d}.json"


def number_of(file_name: str) -> int | None:
    """The inverse of `numbered`; None for any other file, such as a left-over temporary one."""
    match = _NUMBERED.fullmatch(file_name)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Place:
    """The folders of one embedding.

    Raises:
        InvalidName: `entity` or `name` may not become a folder.
    """

    entity: str
    name: str

    def __post_init__(self) -> None:
        check_name("entity", self.entity)
        check_name("embedding name", self.name)

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"

    @property
    def log(self) -> str:
        """Folder with one entry per version."""
        return f"{self}/log"

    @property
    def scores(self) -> str:
        """Folder with one entry per recorded score."""
        return f"{self}/scores"

    def attempt(self, attempt: str) -> str:
        """Folder with the files of one attempt to publish."""
        return f"{self}/versions/{attempt}"


@dataclass(frozen=True)
class Reference:
    """A parsed `entity/name[@latest | @vN | @<week>]`.

    Attributes:
        place: the embedding.
        number: N of `@vN`, else None.
        week: the Monday of `@<week>`, else None; both None mean `@latest`.
    """

    place: Place
    number: int | None = None
    week: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference.

        >>> Reference.parse("word/word@v12").number
        12

        Raises:
            BadReference: it has another shape.
            InvalidName: entity or name may not be used.
        """
        path, at, selector = text.partition("@")
        if path.count("/") != 1:
            raise BadReference(f"{_shown(text)} is not a reference; write entity/name, such as word/word@latest")
        place = Place(*path.split("/"))
        match = _SELECTOR.fullmatch(selector or ("" if at else "latest"))
        if match is None or (match["week"] and not _is_date(match["week"])):
            raise BadReference(
                f"{_shown(selector)} in {_shown(text)} selects no version; write @latest, @v12 or @2026-01-05"
            )
        number = match["number"]
        return cls(place, int(number) if number else None, match["week"])


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    """At most 80 characters, escaped: a hostile name can neither flood nor forge a log line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
