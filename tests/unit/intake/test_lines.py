"""Complaints in files."""

import pytest

from services.intake.lines import CsvLines, JsonLines, Line, Lines


def all_of(lines: Lines, content: bytes, *, piece: int = 1 << 20) -> list[Line]:
    """Everything in a file that comes in pieces."""
    found: list[Line] = []
    for start in range(0, len(content), piece):
        found += lines.feed(content[start : start + piece])
    return [*found, *lines.end()]


def outcome(line: Line) -> tuple[int, str]:
    """Number, and text or problem."""
    return (line.number, line.problem.code if line.problem else (line.values or {}).get("description", ""))


def test_a_broken_json_line_costs_none_of_its_neighbours() -> None:
    """Numbers are those of the file; empty lines are nothing."""
    content = b'\xef\xbb\xbf{"description":"a"}\r\n\n{broken\n{"description":"b"}'
    assert [outcome(one) for one in all_of(JsonLines(), content)] == [(1, "a"), (3, "not_json"), (4, "b")]


def test_a_line_that_is_too_long_is_skipped_without_being_held() -> None:
    """Its neighbours are read."""
    content = b'{"description":"a"}\n' + b"x" * 5_000 + b'\n{"description":"b"}\n'
    lines = JsonLines(bytes_max=1_000)
    assert [outcome(one) for one in all_of(lines, content, piece=64)] == [(1, "a"), (2, "line_too_long"), (3, "b")]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_any_common_writing_is_read(charset: str, delimiter: str) -> None:
    """Character set and delimiter are told from the file; headings may be Chinese."""
    content = f"手机号{delimiter}运单号{delimiter}内容\n13800138000{delimiter}YT1234567|YT7654321{delimiter}快递太慢\n"
    (line,) = all_of(CsvLines(), content.encode(charset))
    assert line.values == {
        "complainant": {"phone": "13800138000"},
        "waybills": ["YT1234567", "YT7654321"],
        "description": "快递太慢",
    }


def test_a_quoted_cell_may_span_lines() -> None:
    """The row's number is that of its first line."""
    content = b'phone,description\n1,"first\nsecond, with ""quotes"""\n2,next\n'
    assert [outcome(one) for one in all_of(CsvLines(), content)] == [(2, 'first\nsecond, with "quotes"'), (4, "next")]


def test_a_quote_that_is_never_closed_costs_its_own_line_alone() -> None:
    """Reading goes on with the next."""
    content = b'phone,description\n1,"open\n2,b\n3,c\n4,"also open\n5,e\n'
    assert [outcome(one) for one in all_of(CsvLines(), content)] == [
        (2, "quote_open"),
        (3, "b"),
        (4, "c"),
        (5, "quote_open"),
        (6, "e"),
    ]


def test_a_row_with_too_few_columns_is_told_so() -> None:
    """With both numbers."""
    (line,) = all_of(CsvLines(), b"phone,description\n1\n")
    assert line.problem is not None
    assert (line.problem.code, dict(line.problem.details)) == ("columns_differ", {"found": 1, "expected": 2})


def test_a_row_in_another_character_set_costs_itself_alone() -> None:
    """The file's is told by its first row beyond ASCII."""
    content = "phone,description\n1,慢\n".encode() + "2,破损严重\n".encode("gb18030") + b"3,c\n"
    assert [outcome(one) for one in all_of(CsvLines(), content)] == [(2, "慢"), (3, "not_utf8"), (4, "c")]


def test_empty_cells_count_as_left_out() -> None:
    """So a column may be filled on some rows only."""
    (line,) = all_of(CsvLines(), b"phone,email,description\n,a@example.com,x\n")
    assert line.values == {"complainant": {"email": "a@example.com"}, "description": "x"}


def test_a_damaged_row_of_utf8_costs_itself_alone_wherever_it_stands() -> None:
    """It is not taken for another character set, in which it and all that follow would say what nobody wrote."""
    damaged = "1,货物丢失请尽快处理\n".encode()
    damaged = damaged[:9] + damaged[10:]
    content = b"phone,description\n" + damaged + "2,包裹破损\n3,a\n".encode()
    for start in (b"", b"\xef\xbb\xbf"):
        assert [outcome(one) for one in all_of(CsvLines(), start + content)] == [
            (2, "not_utf8"),
            (3, "包裹破损"),
            (4, "a"),
        ]


@pytest.mark.parametrize("heading", ["complainant,phone,text", "phone,complainant,text"])
def test_a_column_called_complainant_is_the_name(heading: str) -> None:
    """Beside columns of its parts."""
    cells = {"complainant": "Li", "phone": "13800138000", "text": "late"}
    row = ",".join(cells[name] for name in heading.split(","))
    (line,) = all_of(CsvLines(), f"{heading}\n{row}\n".encode())
    assert line.values == {"complainant": {"name": "Li", "phone": "13800138000"}, "description": "late"}


def test_a_column_that_is_part_of_another_costs_nothing_else() -> None:
    """It stays under its own path, which no field has, so that the caller is told that it was ignored."""
    (line,) = all_of(CsvLines(), b"description,description.x\nlate,y\n")
    assert line.values == {"description": "late", "description.x": "y"}
