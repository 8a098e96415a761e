"""CSV and JSONL files as chunks of rows: one record at a time, before any other library sees it.

Readers that are built for speed lose what does not fit: rows of nulls for broken JSON, 2 for the id
1.7, a line that vanishes. Here each line either becomes cells or is refused with its place and its
bytes.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from embedding_assets.sources.cells import FloatLiteral, IntLiteral
from embedding_assets.sources.chunks import Chunk
from embedding_assets.sources.lines import Line, read_blocks, split_lines, split_records
from embedding_assets.sources.quarantine import Faults, MissingColumn, Reason
from embedding_assets.sources.schema import TABLES
from embedding_assets.sources.source_toml import InputFile, TableSpec

_CHUNK_ROWS = 8192
_CHUNK_BYTES = 4 << 20
#: How many of a JSONL file's keys are remembered for messages.
_KEPT_KEYS = 200

Row = Sequence[object]


class Refused(Exception):  # noqa: N818 - carries a fault, is never shown
    """A record that breaks a rule of its format."""

    def __init__(self, reason: Reason, field_name: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field_name


@dataclass
class _Pending:
    """Rows that wait until they are enough for a chunk; `names` are the columns of each row."""

    names: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    faults: list[tuple[int, Refused]] = field(default_factory=list)
    records: int = 0
    size: int = 0

    def add(self, line: Line, rows: Callable[[], list[Row]]) -> None:
        """Take one record's rows, or the fault that `rows` raises."""
        try:
            if line.reason:
                raise Refused(line.reason)
            found = rows()
        except Refused as fault:
            self.faults.append((len(self.rows), fault))
            found = [(None,) * len(self.names)]
        self.rows += found
        self.lines += [line] * len(found)
        self.records += 1
        self.size += len(line.raw)

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= _CHUNK_ROWS or self.size >= _CHUNK_BYTES

    def chunk(self) -> Chunk:
        """Everything taken so far; the next chunk begins empty."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.names)
        faults = Faults(len(self.rows))
        for row, fault in self.faults:
            faults.reject_row(row, fault.field, fault.reason)
        chunk = Chunk(
            cells=dict(zip(self.names, columns, strict=True)),
            faults=faults,
            line=pa.array([line.number for line in self.lines], pa.int64()),
            offset=pa.array([line.offset for line in self.lines], pa.int64()),
            raw=pa.array([line.raw for line in self.lines], pa.binary()),
            records=self.records,
        )
        self.rows, self.lines, self.faults, self.records, self.size = [], [], [], 0, 0
        return chunk


def read_chunks(spec: TableSpec, file: InputFile) -> Iterator[Chunk]:
    """All rows of a text file, in its order.

    Raises:
        MissingColumn: a column that is named or required is nowhere in the file.
        UnreadableFile: the archive is truncated or damaged.
    """
    return _csv_chunks(spec, file) if file.format == "csv" else _jsonl_chunks(spec, file)


def csv_header(spec: TableSpec, file: InputFile) -> list[str]:
    """The column names of a CSV file; none for an empty file.

    Raises:
        MissingColumn: the first line is no header, or names one column twice.
    """
    lines = split_lines(read_blocks(file.path))
    first = next(split_records(lines, _delimiter(spec, file)), None)
    return [] if first is None else _names(spec, file, first.line, first.fields)


def _names(spec: TableSpec, file: InputFile, line: Line, fields: list[bytes]) -> list[str]:
    try:
        names = [name.decode() for name in fields]
    except UnicodeDecodeError:
        names = []
    if line.reason or not names or "\0" in "".join(names):
        raise MissingColumn(f"{spec.where()}: the first line of {file.path} is no CSV header: {line.raw[:80]!r}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MissingColumn(f"{spec.where(twice[0])}: named twice in the header of {file.path}")
    return names


def _delimiter(spec: TableSpec, file: InputFile) -> bytes:
    is_tsv = ".tsv" in (suffix.lower() for suffix in file.path.suffixes[-2:])
    return (spec.delimiter or ("\t" if is_tsv else ",")).encode()


def _csv_chunks(spec: TableSpec, file: InputFile) -> Iterator[Chunk]:
    records = split_records(split_lines(read_blocks(file.path)), _delimiter(spec, file))
    first = next(records, None)
    if first is None:
        return
    header = _names(spec, file, first.line, first.fields)
    found = spec.resolve(file, header)
    picked = [header.index(theirs) for theirs in found.values()]
    ours = {theirs: name for name, theirs in found.items()}

    def rows(line: Line, fields: list[bytes]) -> list[Row]:
        cells = _csv_cells(line, fields, [ours.get(name, name) for name in header])
        if not spec.wide:
            return [[cells[index] for index in picked]]
        user = cells[picked[0]]
        pairs = zip(header, cells, strict=True)
        return [(user, name, cell) for name, cell in pairs if cell and name != found["user_id"]]

    pending = _Pending(_row_names(spec, found))
    for line, fields in records:
        pending.add(line, lambda line=line, fields=fields: rows(line, fields))
        if pending.is_full:
            yield pending.chunk()
    yield pending.chunk()


def _csv_cells(line: Line, fields: list[bytes], names: list[str]) -> list[str]:
    if b"\0" in line.raw or not _is_utf8(line.raw):
        pairs = zip(names, fields, strict=False)
        wrong = [name for name, cell in pairs if b"\0" in cell or not _is_utf8(cell)]
        reason = Reason.NUL if b"\0" in line.raw else Reason.NOT_UTF8
        raise Refused(reason, wrong[0] if wrong else None)
    if len(fields) != len(names):
        raise Refused(Reason.FIELD_COUNT)
    return [cell.decode() for cell in fields]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _row_names(spec: TableSpec, found: dict[str, str]) -> list[str]:
    return TABLES[spec.table].names if spec.wide else list(found)


def _jsonl_chunks(spec: TableSpec, file: InputFile) -> Iterator[Chunk]:
    # No header says which keys there are: expect all, and compare with the keys seen at the end.
    names = [name for name in TABLES[spec.table].names if name not in spec.constants]
    theirs = {name: spec.columns.get(name, name) for name in names}
    seen, pending = _Keys(set(theirs.values())), _Pending(names)

    def rows(line: Line) -> list[Row]:
        item = _json_object(line.raw)
        seen.note(item)
        if spec.wide:
            return _wide_rows(item, theirs["user_id"])
        return [[item.get(key) for key in theirs.values()]]

    for line in split_lines(read_blocks(file.path)):
        line = line._replace(raw=line.raw.removesuffix(b"\r"))
        if line.raw:
            pending.add(line, lambda line=line: rows(line))
        if pending.is_full:
            yield pending.chunk()
    if seen.names:
        spec.resolve(file, seen.names)
    yield pending.chunk()


@dataclass
class _Keys:
    """The keys of a JSONL file: all that are `wanted`, and enough others for a message."""

    wanted: set[str]
    names: dict[str, None] = field(default_factory=dict)

    def note(self, item: dict[str, object]) -> None:
        for key in item:
            if key not in self.names and (len(self.names) < _KEPT_KEYS or key in self.wanted):
                self.names[key] = None


def _wide_rows(item: dict[str, object], user_key: str) -> list[Row]:
    user = item.get(user_key)
    attributes = (pair for pair in item.items() if pair[0] != user_key)
    return [(user, key, cell) for key, cell in attributes if cell is not None and cell != ""]


def _json_object(raw: bytes) -> dict[str, object]:
    """One line of JSONL, numbers as literals.

    Raises:
        Refused: it is not exactly one JSON object with distinct keys.
    """
    if b"\0" in raw:
        raise Refused(Reason.NUL)
    try:
        item = _DECODER.decode(raw.decode())
    except UnicodeDecodeError:
        raise Refused(Reason.NOT_UTF8) from None
    except RecursionError:
        raise Refused(Reason.TOO_DEEP) from None
    except ValueError:
        raise Refused(Reason.NOT_JSON) from None
    if not isinstance(item, dict):
        raise Refused(Reason.NOT_OBJECT)
    return item


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) != len(pairs):
        raise Refused(Reason.REPEATED_KEY)
    return item


def _integer(literal: str) -> IntLiteral:
    return IntLiteral("0" if literal == "-0" else literal)


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_int=_integer,
    parse_float=FloatLiteral,
    parse_constant=_constant,
)
