"""Complaints in files: JSON lines and CSV, read piece by piece. Pure: bytes in, lines out.

A line that cannot be read is a line with a problem; the next one is read as if nothing had been.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from services.intake.complaint import MalformedJson, read_json
from services.intake.problems import Problem, problem

LINE_BYTES_MAX: Final = 262_144
_BOM: Final = b"\xef\xbb\xbf"
_LISTS: Final = frozenset({"waybills", "places", "evidence"})
_SEPARATORS: Final = re.compile(r"[;|、，,\s]+")
_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: f"complainant.{name}" for name in ("name", "phone", "email", "wechat", "account", "role", "region")},
        **{name: f"complainant.{name}" for name in ("special_identity", "tier", "time_zone")},
        "text": "description",
        "lang": "language",
        "waybill": "waybills",
        "complainant": "complainant.name",
        "currency": "declared_value.currency",
        "declared_value": "declared_value.amount",
        "姓名": "complainant.name",
        "电话": "complainant.phone",
        "手机": "complainant.phone",
        "手机号": "complainant.phone",
        "邮箱": "complainant.email",
        "运单号": "waybills",
        "单号": "waybills",
        "网点": "places",
        "渠道": "channel",
        "标题": "subject",
        "内容": "description",
        "投诉内容": "description",
        "描述": "description",
        "诉求": "remedy",
        "接收时间": "received_at",
        "发生时间": "occurred_at",
        "声明价值": "declared_value.amount",
    }
)
"""What a column may be called beside the field's own path; the headings that spreadsheets here have."""


class Line(NamedTuple):
    """One line: values, or why there are none."""

    number: int
    """Where it starts in the file, from 1."""
    raw: bytes
    values: dict[str, Any] | None = None
    problem: Problem | None = None


class Lines(Protocol):
    """Reads a file piece by piece."""

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that are complete now."""

    def end(self) -> Iterator[Line]:
        """The last lines."""


class PhysicalLines:
    """Splits bytes at line ends. UTF-8 and GB18030 have no line end, quote or comma inside a character."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = bytearray()
        self._skipping = False
        self._number = 0
        self.says_utf8 = False
        """Whether the first line began with UTF-8's byte order mark."""

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes | None]]:
        """(number, content) of each complete line; None instead of one that is too long, which is never held."""
        self._rest += piece
        *complete, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for content in complete:
            yield from self._line(content)
        if len(self._rest) > self._bytes_max:
            self._skipping = True
            self._rest.clear()

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, if it has no line end."""
        if self._rest or self._skipping:
            rest = bytes(self._rest)
            self._rest.clear()
            yield from self._line(rest)

    def _line(self, content: bytes) -> Iterator[tuple[int, bytes | None]]:
        self._number += 1
        too_long = self._skipping or len(content) > self._bytes_max
        self._skipping = False
        if self._number == 1:
            self.says_utf8 = content.startswith(_BOM)
            content = content.removeprefix(_BOM)
        yield self._number, None if too_long else content.removesuffix(b"\r")


class JsonLines:
    """One JSON object a line; empty lines are nothing."""

    def __init__(self, *, bytes_max: int = LINE_BYTES_MAX) -> None:
        self._lines = PhysicalLines(bytes_max)
        self._bytes_max = bytes_max

    def feed(self, piece: bytes) -> Iterator[Line]:
        """See `Lines.feed`."""
        return self._read(self._lines.feed(piece))

    def end(self) -> Iterator[Line]:
        """See `Lines.end`."""
        return self._read(self._lines.end())

    def _read(self, lines: Iterator[tuple[int, bytes | None]]) -> Iterator[Line]:
        for number, content in lines:
            if content is None:
                yield _too_long(number, self._bytes_max)
            elif content.strip():
                try:
                    yield Line(number, content, read_json(content))
                except MalformedJson as refusal:
                    yield Line(number, content, problem=problem("", refusal.code, details=refusal.details))


class CsvLines:
    """Comma, semicolon or tab separated, with a heading; UTF-8 or GB18030, with or without byte order mark.

    A quote that is never closed would swallow the rest of the file. So a row that spans lines and ends up with the
    wrong number of columns, or never ends, is refused as its first line alone, and reading goes on with the second.
    """

    def __init__(self, *, charset: str | None = None, bytes_max: int = LINE_BYTES_MAX) -> None:
        self._lines = PhysicalLines(bytes_max)
        self._bytes_max = bytes_max
        self._charset = charset
        self._delimiter = ","
        self._columns: list[str] | None = None
        self._row: list[tuple[int, bytes]] = []
        self._row_bytes = 0
        self._quotes = 0

    def feed(self, piece: bytes) -> Iterator[Line]:
        """See `Lines.feed`."""
        return self._read(self._lines.feed(piece))

    def end(self) -> Iterator[Line]:
        """See `Lines.end`."""
        yield from self._read(self._lines.end())
        while self._row:
            yield from self._first_line_alone("quote_open")

    def _read(self, lines: Iterator[tuple[int, bytes | None]]) -> Iterator[Line]:
        for number, content in lines:
            if content is None:
                while self._row:
                    yield from self._first_line_alone("quote_open")
                yield _too_long(number, self._bytes_max)
            else:
                yield from self._add(number, content)

    def _add(self, number: int, content: bytes) -> Iterator[Line]:
        if not self._row and not content.strip():
            return
        self._row.append((number, content))
        self._row_bytes += len(content)
        self._quotes += content.count(b'"')
        if self._quotes % 2:
            if self._row_bytes > self._bytes_max:
                yield from self._first_line_alone("quote_open")
            return
        row = self._row
        line = self._row_read(row[0][0], b"\n".join(part for _, part in row))
        if line is not None and line.problem is not None and len(row) > 1:
            yield from self._first_line_alone("quote_open")
            return
        self._forget()
        if line is not None:
            yield line

    def _first_line_alone(self, code: str) -> Iterator[Line]:
        (number, content), *others = self._row
        self._forget()
        yield Line(number, content, problem=problem("", code))
        for following, part in others:
            yield from self._add(following, part)

    def _forget(self) -> None:
        self._row, self._row_bytes, self._quotes = [], 0, 0

    def _row_read(self, number: int, raw: bytes) -> Line | None:
        text = self._decoded(raw)
        if text is None:
            return Line(number, raw, problem=problem("", "not_utf8", details={"position": "1"}))
        if self._columns is None:
            self._delimiter = max(",;\t", key=text.count)
        try:
            cells = next(csv.reader([text], delimiter=self._delimiter, strict=True), [])
        except csv.Error:
            return Line(number, raw, problem=problem("", "quote_open"))
        if self._columns is None:
            self._columns = [_path(name) for name in cells]
            return None
        if len(cells) != len(self._columns):
            counted = {"found": len(cells), "expected": len(self._columns)}
            return Line(number, raw, problem=problem("", "columns_differ", details=counted))
        return Line(number, raw, _values(self._columns, cells))

    def _decoded(self, raw: bytes) -> str | None:
        """The text of a row. Nothing said, the first sound row beyond ASCII tells the character set of all."""
        if raw.isascii():
            return raw.decode("ascii")
        if self._lines.says_utf8:
            self._charset = "utf-8"
        for charset in (self._charset,) if self._charset else ("utf-8", "gb18030"):
            try:
                text = raw.decode(charset)
            except UnicodeDecodeError:
                if self._charset is None and _is_damaged_utf8(raw):
                    return None
                continue
            self._charset = charset
            return text
        return None


def _is_damaged_utf8(raw: bytes) -> bool:
    """Whether bytes that are not UTF-8 were meant to be: GB18030 reads them, too, as a text that nobody wrote."""
    beyond = [character for character in raw.decode("utf-8", "replace") if not character.isascii()]
    return beyond.count("\ufffd") * 2 <= len(beyond)


def _path(heading: str) -> str:
    name = heading.strip().lower().replace(" ", "_")
    return _COLUMNS.get(name, name)


def _values(columns: list[str], cells: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path, cell in zip(columns, cells, strict=True):
        text = cell.strip()
        if not text:
            continue
        outer, _, inner = path.partition(".")
        if inner:
            part = values.setdefault(outer, {})
            if isinstance(part, dict):
                part[inner] = text
            else:  # a column is called as this one's part is: no field has such a path, which the caller is told
                values[path] = text
        elif outer in _LISTS:
            values[outer] = [part for part in _SEPARATORS.split(text) if part]
        else:
            values[outer] = text
    return values


def _too_long(number: int, bytes_max: int) -> Line:
    return Line(number, b"", problem=problem("", "line_too_long", details={"max_bytes": bytes_max}))
