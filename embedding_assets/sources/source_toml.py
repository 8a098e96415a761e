"""A `source.toml` as checked settings: each event table's files and columns.

[weeks]                          # optional: Mondays; rows outside are left out and counted
first = 2015-11-30
last = 2016-05-23

[tweets]                         # one of `schema.TABLES`
path = "tweets/*.csv.gz"         # relative to this file; * ? [] ** allowed
format = "csv"                   # csv, jsonl or parquet; by default from the suffix
delimiter = ";"                  # csv only; "," by default, a tab for .tsv
columns = { lang = "language" }  # ours = theirs; columns not named keep their name
constants = { created_at = "2017-11-06T00:00:00Z" }
undirected = true                # follows only: each edge also stands for its reverse
wide = true                      # user_metadata only: one row a user, one column an attribute
"""

import glob
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from embedding_assets.records import Week
from embedding_assets.sources.lines import COMPRESSIONS
from embedding_assets.sources.quarantine import (
    InvalidSetting,
    MissingColumn,
    MissingFile,
    suggest,
)
from embedding_assets.sources.schema import TABLES, week_bounds

Format = Literal["csv", "jsonl", "parquet"]
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_KEYS: dict[str, type] = {
    "path": str,
    "format": str,
    "delimiter": str,
    "columns": dict,
    "constants": dict,
    "undirected": bool,
    "wide": bool,
}
_CONSTANT_TYPES = (str, int, float, bool, date)


@dataclass(frozen=True)
class InputFile:
    """One file, its format, and its name in the quarantine (relative to the source.toml)."""

    path: Path
    format: Format
    shown: str


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """How one event table is stored.

    Attributes:
        toml: the file that says so, for messages.
        table: one of `schema.TABLES`.
        files: in the order in which they are read.
        columns: ours -> theirs, as far as named.
        constants: ours -> the value of every row.
        delimiter: of CSV files; None for the suffix's own.
        undirected: each stored edge also stands for its reverse.
        wide: one record a user, one column an attribute.
    """

    toml: Path
    table: str
    files: tuple[InputFile, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str | float] = field(default_factory=dict)
    delimiter: str | None = None
    undirected: bool = False
    wide: bool = False

    def where(self, name: str = "") -> str:
        """The start of a message: the source.toml, the table and the field."""
        return f"{self.toml}: [{self.table}]{' ' + name if name else ''}"

    def resolve(self, file: InputFile, there: Iterable[str]) -> dict[str, str]:
        """Which of the file's columns, `there`, hold ours: ours -> theirs, without constants.

        Raises:
            MissingColumn: a column is named, or required, and not there.
        """
        have = list(there)
        found = {}
        for ours in TABLES[self.table]:
            if ours.name in self.constants or (self.wide and ours.name != "user_id"):
                continue
            theirs = self.columns.get(ours.name, ours.name)
            if theirs in have:
                found[ours.name] = theirs
            elif ours.name in self.columns or not ours.nullable:
                raise MissingColumn(
                    f"{self.where(ours.name)}: no column {theirs!r} in {file.path};"
                    f" {suggest(theirs, have)}"
                    f" (map it with columns = {{ {ours.name} = ... }}, or give a constant)"
                )
        return found


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """A whole source.toml: `tables` by name, and the first and last week where they are set."""

    path: Path
    tables: Mapping[str, TableSpec]
    first_week: Week | None = None
    last_week: Week | None = None


def load_spec(path: Path) -> SourceSpec:
    """Read and check a source.toml; the files' own contents are not looked at.

    Raises:
        MissingFile: it, or a file that it names, is not there.
        InvalidSetting: it is not TOML, or says something that cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8")
        settings = tomllib.loads(text)
    except OSError as error:
        raise MissingFile(f"no source description at {path}: {error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSetting(f"{path}: not TOML: {error}") from error
    first, last = _weeks(path, settings.pop("weeks", {}))
    tables = {name: _table(path, name, value) for name, value in settings.items()}
    if not tables:
        raise InvalidSetting(f"{path}: describes no table; known: {', '.join(TABLES)}")
    return SourceSpec(path=path, tables=tables, first_week=first, last_week=last)


def _weeks(path: Path, section: Any) -> tuple[Week | None, Week | None]:
    if not isinstance(section, dict):
        raise InvalidSetting(f"{path}: weeks must be a table [weeks] with first and last, got {section!r}")
    found: dict[str, Week | None] = {"first": None, "last": None}
    for key, value in section.items():
        if key not in found:
            raise InvalidSetting(f"{path}: [weeks] has no key {key!r}; {suggest(key, found)}")
        try:
            found[key] = str(value)
            week_bounds(str(value))
        except ValueError as error:
            raise InvalidSetting(f"{path}: [weeks] {key}: {error}") from error
    first, last = found["first"], found["last"]
    if first and last and first > last:
        raise InvalidSetting(f"{path}: [weeks] first {first} comes after last {last}")
    return first, last


def _table(toml: Path, name: str, section: Any) -> TableSpec:
    where = f"{toml}: [{name}]"
    if name not in TABLES:
        raise InvalidSetting(f"{toml}: no event table {name!r}; {suggest(name, [*TABLES, 'weeks'])}")
    if not isinstance(section, dict) or "path" not in section:
        raise InvalidSetting(f'{where}: has no path; say where its files are: path = "..."')
    for key, value in section.items():
        if key not in _KEYS:
            raise InvalidSetting(f"{where} has no key {key!r}; {suggest(key, _KEYS)}")
        if type(value) is not _KEYS[key]:
            raise InvalidSetting(f"{where} {key}: must be a {_KEYS[key].__name__}, got {value!r}")
    spec = TableSpec(
        toml=toml,
        table=name,
        files=_files(where, toml.parent, section["path"], section.get("format")),
        columns=section.get("columns", {}),
        constants={key: _constant(where, key, v) for key, v in section.get("constants", {}).items()},
        delimiter=section.get("delimiter"),
        undirected=section.get("undirected", False),
        wide=section.get("wide", False),
    )
    _check_columns(spec)
    _check_shape(spec)
    return spec


def _constant(where: str, key: str, value: Any) -> str | float:
    if not isinstance(value, _CONSTANT_TYPES):
        raise InvalidSetting(f"{where} constants.{key}: must be one value, got {value!r}")
    return value.isoformat() if isinstance(value, date | datetime) else value


def _check_columns(spec: TableSpec) -> None:
    names = TABLES[spec.table].names
    allowed = {"columns": ["user_id"] if spec.wide else names, "constants": [] if spec.wide else names}
    for key, theirs in spec.columns.items():
        if not isinstance(theirs, str):
            raise InvalidSetting(f"{spec.where('columns.' + key)}: must name a column, got {theirs!r}")
    for kind, given in (("columns", spec.columns), ("constants", spec.constants)):
        known = allowed[kind]
        for name in given:
            if name not in known:
                raise InvalidSetting(f"{spec.where(kind)}: no column {name!r} in our table; {suggest(name, known)}")
    if both := sorted(set(spec.columns) & set(spec.constants)):
        raise InvalidSetting(f"{spec.where(both[0])}: both a column and a constant; keep one")


def _check_shape(spec: TableSpec) -> None:
    if spec.undirected and spec.table != "follows":
        raise InvalidSetting(f"{spec.where('undirected')}: only follows has a source and a destination")
    if spec.wide and spec.table != "user_metadata":
        raise InvalidSetting(f"{spec.where('wide')}: only user_metadata has attributes")
    mark = spec.delimiter
    if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n\0'):
        raise InvalidSetting(f"{spec.where('delimiter')}: must be one ASCII character, got {mark!r}")
    if mark is not None and any(file.format != "csv" for file in spec.files):
        raise InvalidSetting(f"{spec.where('delimiter')}: only CSV files have one, got {spec.files[0].path}")


def _files(where: str, folder: Path, pattern: str, given: str | None) -> tuple[InputFile, ...]:
    if "://" in pattern:
        raise InvalidSetting(f"{where} path: only local files can be read, got {pattern!r}; fetch them first")
    if given is not None and given not in _SUFFIXES.values():
        raise InvalidSetting(f"{where} format: {given!r} is unknown; {suggest(given, set(_SUFFIXES.values()))}")
    if not pattern or "\0" in pattern:
        raise InvalidSetting(f"{where} path: {pattern!r} is no path")
    if (folder / pattern).is_file():
        paths = [folder / pattern]
    else:
        paths = [p for p in map(folder.joinpath, _matches(folder, pattern)) if p.is_file()]
        _check_inside(where, folder, pattern, paths)
    if not paths:
        parent = (folder / pattern).parent
        near = [p.name for p in parent.iterdir()] if parent.is_dir() else []
        raise MissingFile(
            f"{where} path: no file matches {pattern!r} under {folder}; {suggest(Path(pattern).name, near)}"
        )
    return tuple(InputFile(path, _format(where, path, given), _shown(path, folder)) for path in paths)


def _matches(folder: Path, pattern: str) -> list[str]:
    # Path.glob refuses absolute patterns, which users may write.
    return sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207


def _check_inside(where: str, folder: Path, pattern: str, paths: list[Path]) -> None:
    """A link among the files must not make a pattern read what its folder does not hold."""
    fixed = Path(*_fixed_parts(pattern))
    base = (folder / fixed).resolve()
    for path in paths:
        if not path.resolve().is_relative_to(base):
            raise InvalidSetting(
                f"{where} path: {path} is a link to {path.resolve()}, outside {base}; name that file itself"
            )


def _fixed_parts(pattern: str) -> Iterable[str]:
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            return
        yield part


def _format(where: str, path: Path, given: str | None) -> Format:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    by_suffix = _SUFFIXES.get("".join(suffixes[:-1][-1:] if packed else suffixes[-1:]))
    found = by_suffix if given is None else _SUFFIXES[f".{given}"]
    if found is None:
        raise InvalidSetting(
            f'{where} format: cannot tell from the name of {path}; say format = "csv", "jsonl" or "parquet"'
        )
    if found == "parquet" and packed:
        raise InvalidSetting(f"{where} path: {path}: Parquet compresses by itself; unpack the file")
    return found


def _shown(path: Path, folder: Path) -> str:
    return os.fsencode(os.path.relpath(path, folder)).decode("utf-8", "backslashreplace")
