"""Whatever is sent to the intake gets a clear answer."""

from datetime import UTC, datetime
from typing import Any

import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import Language
from services.intake.complaint import Circumstances, Complaint, MalformedJson, check, read_json
from services.intake.lines import CsvLines, JsonLines, Line

NOW = Circumstances(datetime(2026, 11, 22, tzinfo=UTC))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
NAMES = st.sampled_from([*Complaint.model_fields, "x"])
PEOPLE = st.dictionaries(st.sampled_from(["name", "phone", "email", "wechat", "role", "region", "time_zone"]), VALUES)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES), st.none() | PEOPLE)
def test_any_values_are_either_a_complaint_or_have_problems_in_words(raw: dict[str, Any], person: Any) -> None:
    """Never neither, never an exception; and every problem can be told in both languages."""
    found = check({**raw, "complainant": person} if person is not None else raw, NOW)
    assert (found.complaint is None) == bool(found.problems)
    for one in found.problems:
        for language in Language:
            told = one.told(language)
            assert told["problem"]
            assert "{" not in told["problem"]
            assert "?" not in told["problem"]


@settings(max_examples=500, deadline=None)
@given(st.from_regex(r"1[0-9]{10}", fullmatch=True) | st.from_regex(r"\+?[0-9]{5,14}", fullmatch=True))
def test_phone_numbers_are_judged_as_their_library_judges_them(written: str) -> None:
    """The short cut for mobile numbers at home agrees with the long way."""
    found = check({"complainant": {"phone": written}, "description": "x"}, NOW)
    try:
        number = phonenumbers.parse(written, "CN")
    except phonenumbers.NumberParseException:
        assert found.complaint is None
        return
    assert (found.complaint is not None) == phonenumbers.is_valid_number(number)
    if found.complaint is not None:
        expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert found.complaint.complainant.phone == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_either_an_object_or_malformed(body: bytes) -> None:
    """Nothing else comes out."""
    try:
        assert isinstance(read_json(body), dict)
    except MalformedJson as refusal:
        assert refusal.code


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.binary(max_size=40), max_size=12), piece=st.integers(1, 20), as_csv=st.booleans())
def test_how_a_file_is_cut_into_pieces_does_not_matter(*, rows: list[bytes], piece: int, as_csv: bool) -> None:
    """The same lines come out, numbered upwards."""
    content = b"\n".join(rows)

    def lines(size: int) -> list[Line]:
        reader = CsvLines(bytes_max=100) if as_csv else JsonLines(bytes_max=100)
        found: list[Line] = []
        for start in range(0, len(content), size):
            found += reader.feed(content[start : start + size])
        return [*found, *reader.end()]

    whole = lines(len(content) or 1)
    assert lines(piece) == whole
    assert [one.number for one in whole] == sorted({one.number for one in whole})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a,b", '"a",b', '"a""x",b', 'c,"d"']), max_size=10), st.integers(0, 10))
def test_an_open_quote_costs_no_other_row(rows: list[str], place: int) -> None:
    """Wherever it stands."""
    place = min(place, len(rows))
    content = "\n".join(["phone,description", *rows[:place], '"open,x', *rows[place:]]).encode()
    reader = CsvLines()
    found = [*reader.feed(content), *reader.end()]
    assert [one.number for one in found if one.problem is not None] == [place + 2]
    assert len(found) == len(rows) + 1
