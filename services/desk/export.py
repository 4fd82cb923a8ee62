"""Rows as a spreadsheet: CSV for programs, XLSX for people. A cell is a text, whatever it begins with."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import xlsxwriter

from services.desk.row import Row

COLUMNS: Final = (
    "number", "state", "category", "severity", "flags", "major", "department", "unit", "person", "next_due",
    "next_due_clock", "breached", "received", "updated", "channel", "source", "waybills", "places", "region",
    "case_number", "repeats",
)  # fmt: skip
_BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
BYTE_ORDER_MARK: Final = "\ufeff"
"""By which spreadsheets know UTF-8."""


def cells(row: Row, zone: ZoneInfo) -> list[str]:
    """A row's cells, times on the reader's wall clock."""
    due = row.next_due
    category = ".".join(part for part in (row.category, row.sub) if part)
    return [
        row.number,
        row.state,
        category,
        str(int(row.severity)),
        " ".join(row.flags),
        "yes" if row.major else "",
        row.department or "",
        " ".join(row.units),
        row.person or "",
        _wall(due[0], zone) if due else "",
        due[1] if due else "",
        " ".join(row.breached),
        _wall(row.received_at, zone),
        _wall(row.updated_at, zone),
        row.channel or "",
        row.source or "",
        " ".join(row.waybills),
        " ".join(row.places),
        row.region or "",
        row.case_number or "",
        str(row.repeats),
    ]


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Lines of CSV (RFC 4180); what a spreadsheet would take for a formula begins with an apostrophe."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[_harmless(cell) for cell in row] for row in rows])
    return buffer.getvalue()


class Workbook:
    """An XLSX file that is written row by row and never held in memory."""

    def __init__(self, path: Path) -> None:
        self._book: Any = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)})
        self._sheet: Any = self._book.add_worksheet("tickets")
        self._sheet.freeze_panes(1, 0)
        self._count = 0
        self.write([COLUMNS])

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        """Append rows."""
        for row in rows:
            for column, cell in enumerate(row):
                self._sheet.write_string(self._count, column, cell)
            self._count += 1

    def close(self) -> None:
        """Finish the file."""
        self._book.close()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_BEGINS_FORMULA) else cell


def _wall(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
