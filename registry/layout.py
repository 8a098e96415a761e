"""Where everything lies under a registry's root, and which names may appear there.

    <entity>/<name>/versions/<attempt>/   the files of one version
    <entity>/<name>/log/00000007.json     version 7 is this attempt
    <entity>/<name>/scores/00000012.json  one benchmark result
    <entity>/<name>/aliases/production/00000003.json   where the alias pointed third
    <entity>/<name>/retention/00000003.json    a version is pinned, leased or gone, since when and why
    <entity>/<name>/claims/<attempt>/00000001.json   the attempt may be named, or was collected

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
GRAPH = "index.hnsw"
LINEAGE = "lineage.json"
COMPOSER = "composer.json"
FILES = (VECTORS, TABLE, KEYS, INDEX, COMPOSER, LINEAGE)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ATTEMPT = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{12}")
_NUMBERED = re.compile(r"([0-9]{8})\.json")
# No alias can be read as `latest`, as a number `v12` or, since it begins with a letter, as a time.
_ALIAS = r"(?!latest\Z|v-?[0-9]+\Z)[a-z][a-z0-9_-]{0,63}"
_SELECTOR = re.compile(
    r"(?P<latest>latest)|v(?P<number>[1-9][0-9]{0,7})|(?P<week>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    rf"|(?P<moment>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:.]{{2,15}}(?:Z|[+-][0-9:]{{2,8}}))|(?P<alias>{_ALIAS})"
)


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


def check_alias(alias: object) -> str:
    """Return `alias` if it may name a version.

    Raises:
        InvalidName: it could be mistaken for `@latest`, a number or a time, or become no folder.
    """
    if isinstance(alias, str) and re.fullmatch(_ALIAS, alias):
        return alias
    raise InvalidName(
        f"alias {_shown(alias)} is not allowed; use 1 to 64 of a-z, 0-9, '_' and '-', beginning with a letter,"
        " but neither 'latest' nor 'v' and digits"
    )


def is_alias(text: str) -> bool:
    """Whether `text` may be an alias."""
    return re.fullmatch(_ALIAS, text) is not None


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


def new_temporary() -> str:
    """Name of a file that is being written, to be given its own name when it is whole."""
    return f".tmp-{new_attempt()}"


def began(name: str) -> dt.datetime | None:
    """When an attempt or a temporary file was begun, by the clock of who began it; None for any other name."""
    text = name.removeprefix(".tmp-")
    if not is_attempt(text):
        return None
    try:
        return dt.datetime.strptime(text.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=dt.UTC)
    except ValueError:  # digits, but no time
        return None


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

    @property
    def aliases(self) -> str:
        """Folder with one folder per alias."""
        return f"{self}/aliases"

    @property
    def retention(self) -> str:
        """Folder with one entry per pin, lease and tombstone, so that they have one order."""
        return f"{self}/retention"

    @property
    def claims(self) -> str:
        """Folder with one folder per attempt that is about to be named, or never will be."""
        return f"{self}/claims"

    def alias(self, alias: str) -> str:
        """Folder with one entry per move of an alias.

        Raises:
            InvalidName: `alias` may not be one.
        """
        return f"{self.aliases}/{check_alias(alias)}"

    def attempt(self, attempt: str) -> str:
        """Folder with the files of one attempt to publish."""
        return f"{self}/versions/{attempt}"


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Which version of an embedding; at most one field is set, none means the newest.

    Attributes:
        number: N of `@vN`.
        week: the Monday of `@<week>`, `YYYY-MM-DD`.
        moment: the time of `@<timestamp>`, with an offset.
        alias: such as `production`.
    """

    number: int | None = None
    week: str | None = None
    moment: dt.datetime | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read what stands behind the `@`.

        >>> Selector.parse("2026-11-01T00:00Z").moment.isoformat()
        '2026-11-01T00:00:00+00:00'

        Raises:
            BadReference: it has another shape, or names a day or a time that does not exist.
        """
        match = _SELECTOR.fullmatch(text)
        try:
            if match is None:
                raise ValueError("it has none of these shapes")
            if match["week"]:
                dt.date.fromisoformat(match["week"])
            moment = dt.datetime.fromisoformat(match["moment"]) if match["moment"] else None
        except ValueError as error:
            raise BadReference(
                f"{_shown(text)} selects no version: {error}; write @latest, @v12, @2026-01-05 (a week),"
                " @2026-01-05T09:30Z (a time, with Z or an offset) or an alias such as @production"
            ) from error
        number = match["number"]
        return cls(number=int(number) if number else None, week=match["week"], moment=moment, alias=match["alias"])


@dataclass(frozen=True)
class Reference:
    """A parsed `entity/name[@latest | @vN | @<week> | @<alias> | @<timestamp>]`."""

    place: Place
    selector: Selector

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference.

        >>> Reference.parse("word/word@v12").selector.number
        12

        Raises:
            BadReference: it has another shape.
            InvalidName: entity or name may not be used.
        """
        path, at, selector = text.partition("@")
        if path.count("/") != 1:
            raise BadReference(f"{_shown(text)} is not a reference; write entity/name, such as word/word@latest")
        return cls(Place(*path.split("/")), Selector.parse(selector if at else "latest"))


def _shown(value: object) -> str:
    """At most 80 characters, escaped: a hostile name can neither flood nor forge a log line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
