"""Files of text as numbered lines and CSV records: bytes in, pieces with their place out.

Nothing is decoded here, memory is bounded by one block and one record, and every byte but line
ends, a byte order mark and empty lines belongs to exactly one piece.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from embedding_assets.sources.quarantine import (
    KEPT_BYTES,
    MAX_RECORD_BYTES,
    Reason,
    UnreadableFile,
)

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_BLOCK_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"
_INSIDE_QUOTES = re.compile(rb'[^"]*(?:""[^"]*)*')


class Line(NamedTuple):
    r"""One line without its \n, or one CSV record.

    Attributes:
        number: of its first line, from 1.
        offset: of its first byte in the (decompressed) file.
        raw: its bytes; only the first `KEPT_BYTES` of one that is too long.
        reason: why it is refused as it stands, or None.
    """

    number: int
    offset: int
    raw: bytes
    reason: Reason | None = None


class Record(NamedTuple):
    """A CSV record: where it lies, and its fields without quotes (empty for a refused one)."""

    line: Line
    fields: list[bytes]


def read_blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes, decompressed by its suffix.

    Raises:
        UnreadableFile: the archive ends early, is damaged, or the file cannot be read.
    """
    compression = COMPRESSIONS.get(path.suffix.lower())
    done = 0
    try:
        if compression and path.stat().st_size == 0:
            raise OSError(f"an empty file is no {compression} archive")
        # Arrow itself opens only names that are UTF-8.
        with path.open("rb") as file, pa.input_stream(file, compression=compression) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
                done += len(block)
    except OSError as error:
        raise UnreadableFile(
            f"{path}: cannot be read after byte {done} of its contents: {error}; fetch it again"
        ) from error


def split_lines(blocks: Iterable[bytes]) -> Iterator[Line]:
    r"""Every line, empty ones too, without its \n and with its \r.

    A line over `MAX_RECORD_BYTES` is cut, with its reason, and its rest is skipped.

    Example:
        >>> [line.raw for line in split_lines([b"a\nb", b"c\n"])]
        [b'a', b'bc']
    """
    number, offset, tail, dropped = 1, 0, b"", 0
    for block in blocks:
        *complete, tail = (tail + block).split(b"\n")
        for raw in complete:
            yield _line(number, offset, raw, dropped)
            number, offset, dropped = number + 1, offset + dropped + len(raw) + 1, 0
        if dropped or len(tail) > MAX_RECORD_BYTES:
            dropped += len(tail) - KEPT_BYTES
            tail = tail[:KEPT_BYTES]
    if tail:
        yield _line(number, offset, tail, dropped)


def _line(number: int, offset: int, raw: bytes, dropped: int) -> Line:
    if offset == 0 and raw.startswith(_BOM):
        offset, raw = len(_BOM), raw[len(_BOM) :]
    if dropped or len(raw) > MAX_RECORD_BYTES:
        return Line(number, offset, raw[:KEPT_BYTES], Reason.LINE_TOO_LONG)
    return Line(number, offset, raw)


def split_records(lines: Iterable[Line], delimiter: bytes) -> Iterator[Record]:
    """CSV records (RFC 4180); the first one, the header, says how many fields a record has.

    A quote that swallows lines and then does not give a well-formed record of the header's width is
    taken for a stray one: only its own line is refused, and reading goes on with the line after it.
    """
    source, again = iter(lines), deque[Line]()
    width = 0
    while (first := again.popleft() if again else next(source, None)) is not None:
        raw = first.raw.removesuffix(b"\r")
        if first.reason:
            yield Record(first._replace(raw=raw), [])
        elif b'"' not in raw:
            if raw:
                yield Record(first._replace(raw=raw), fields := raw.split(delimiter))
                width = width or len(fields)
        else:
            record, unread = _quoted(first, again, source, _Scanner(delimiter), width)
            again.extendleft(reversed(unread))
            width = width or len(record.fields)
            yield record


def _quoted(
    first: Line, again: deque[Line], source: Iterator[Line], scanner: "_Scanner", width: int
) -> tuple[Record, list[Line]]:
    """The record that begins with `first`, and lines that were looked at but are not its own."""
    lines, size = [first], len(first.raw)
    closed = scanner.feed(first.raw)
    # With `width` fields and one still open it is too wide: on to the next quote's own try. So no
    # line is looked at more than `width` + 1 times, however many quotes are stray.
    while closed is None and size <= MAX_RECORD_BYTES and not (width and len(scanner.fields) >= width):
        line = again.popleft() if again else next(source, None)
        if line is None:
            break
        lines.append(line)
        if line.reason:
            break
        size += len(line.raw) + 1
        closed = scanner.feed(line.raw)
    several = len(lines) > 1
    if closed and not (several and width and len(scanner.fields) != width):
        raw = b"\n".join(line.raw for line in lines).removesuffix(b"\r")
        return Record(first._replace(raw=raw), scanner.fields), []
    reason = Reason.BAD_QUOTE if closed is False and not several else Reason.OPEN_QUOTE
    return Record(first._replace(raw=first.raw.removesuffix(b"\r"), reason=reason), []), lines[1:]


class _Scanner:
    """Splits one CSV record into fields, line by line, looking at each byte once."""

    def __init__(self, delimiter: bytes) -> None:
        self.fields: list[bytes] = []
        self._delimiter = delimiter
        self._open: list[bytes] | None = None

    def feed(self, line: bytes) -> bool | None:
        """True: the record is complete; None: a quote is open, feed on; False: malformed."""
        at = 0
        while True:
            if self._open is None:
                if not line.startswith(b'"', at):
                    end = line.find(self._delimiter, at)
                    if end < 0:
                        self.fields.append(line[at:].removesuffix(b"\r"))
                        return True
                    self.fields.append(line[at:end])
                    at = end + 1
                    continue
                self._open, at = [], at + 1
            end = self._close(line, at)
            if end is None or line[end:] in (b"", b"\r"):
                return None if end is None else True
            if not line.startswith(self._delimiter, end):
                return False
            at = end + 1

    def _close(self, line: bytes, at: int) -> int | None:
        """Where the open field's closing quote ends; None when it is not on this line."""
        inside = _INSIDE_QUOTES.match(line, at)
        end = inside.end() if inside else at
        parts = [*(self._open or []), line[at:end]]
        if end == len(line):
            self._open = [*parts, b"\n"]
            return None
        self.fields.append(b"".join(parts).replace(b'""', b'"'))
        self._open = None
        return end + 1
