"""The rules that a complaint is held to."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.codes import Channel, Language
from services.intake.complaint import (
    DESCRIPTION_CHARACTERS_MAX,
    Checked,
    Circumstances,
    MalformedJson,
    check,
    language_of,
    read_json,
)

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {"complainant": {"phone": "13800138000"}, "description": "快递太慢了"}


def checked(**given: Any) -> Checked:
    """What the rules say of the shortest good complaint with these fields changed."""
    return check({**GOOD, **given}, Circumstances(NOW, {Channel.COUNTER: ZoneInfo("America/New_York")}))


def codes(**given: Any) -> list[tuple[str, str]]:
    """(field, code) of every problem."""
    return [(one.field, one.code) for one in checked(**given).problems]


def test_the_shortest_complaint_is_filled_with_defaults() -> None:
    """A phone number and a text are enough."""
    complaint = checked().complaint
    assert complaint is not None
    assert (complaint.channel, complaint.source) == ("web", "external")
    assert complaint.complainant.phone == "+8613800138000"


def test_every_problem_is_told_at_once() -> None:
    """One answer names everything that is wrong, wherever it stands."""
    found = codes(
        channel="fax",
        complainant={"phone": "123", "email": "nobody", "time_zone": "Mars/Base"},
        waybills=["!"],
        description="\x00",
        declared_value={"amount": "-1"},
        insured="perhaps",
        evidence=["x"],
    )
    assert set(found) == {
        ("channel", "enum"),
        ("complainant.phone", "phone_invalid"),
        ("complainant.email", "email_invalid"),
        ("complainant.time_zone", "zone_unknown"),
        ("waybills.0", "pattern"),
        ("description", "forbidden_character"),
        ("declared_value.amount", "amount_invalid"),
        ("insured", "yes_or_no_expected"),
        ("evidence.0", "evidence_unknown"),
    }


def test_an_address_that_no_letter_can_bear_is_refused() -> None:
    """It would be read as an encoded word in the header of a letter."""
    assert codes(complainant={"email": "=?utf-8?q??=@example.com"}) == [("complainant.email", "email_invalid")]


@pytest.mark.parametrize(
    ("given", "phone"),
    [
        ("138 0013 8000", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
        ("+86-138-0013-8000", "+8613800138000"),
        (13800138000, "+8613800138000"),
        ("010-62781234", "+861062781234"),
        ("+44 20 7946 0958", "+442079460958"),
    ],
)
def test_phone_numbers_are_read_in_any_common_writing(given: Any, phone: str) -> None:
    """They travel in the one international form."""
    complaint = checked(complainant={"phone": given}).complaint
    assert complaint is not None
    assert complaint.complainant.phone == phone


def test_a_region_tells_how_a_phone_number_reads() -> None:
    """A British number without country code is valid for a British complainant and for nobody else."""
    in_britain = checked(complainant={"phone": "020 7946 0958", "region": "GB"}).complaint
    assert in_britain is not None
    assert in_britain.complainant.phone == "+442079460958"
    assert codes(complainant={"phone": "020 7946 0958 77"}) == [("complainant.phone", "phone_invalid")]


def test_somebody_must_be_reachable_unless_the_complaint_is_internal() -> None:
    """Anonymous complaints come from inside the network alone."""
    assert codes(complainant={"name": "李雷", "account": "C-1"}) == [("complainant", "contact_missing")]
    assert codes(complainant={"name": "李雷"}, source="internal") == []
    assert ("complainant", "contact_missing") in codes(complainant={}, description="")


@pytest.mark.parametrize("way", [{"email": "li@example.com"}, {"wechat": "oX_1-abc"}])
def test_one_way_to_reach_somebody_is_enough(way: dict[str, str]) -> None:
    """It need not be a phone."""
    assert codes(complainant=way) == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("received_at", (NOW + timedelta(minutes=5, seconds=1)).isoformat(), "time_in_future"),
        ("occurred_at", "2026-11-22T09:00:00", "time_without_offset"),
        ("received_at", "yesterday", "not_a_time"),
        ("received_at", 1763776800, "not_a_time"),
        ("received_at", "0001-01-01T00:00:00+14:00", "time_out_of_range"),
        ("occurred_at", "9999-12-31T23:59:59-14:00", "time_out_of_range"),
    ],
)
def test_times_that_cannot_be_are_refused(field: str, value: Any, code: str) -> None:
    """Times have an offset, lie in reach and not in the future."""
    assert codes(**{field: value}) == [(field, code)]


def test_five_minutes_ahead_is_within_what_clocks_differ() -> None:
    """A terminal whose clock is a little fast is not refused."""
    assert codes(received_at=(NOW + timedelta(minutes=5)).isoformat()) == []


def test_a_time_without_offset_is_meant_in_the_zone_of_its_channel() -> None:
    """Where the channel has one configured."""
    complaint = checked(channel="counter", occurred_at="2026-11-21T08:00:00").complaint
    assert complaint is not None
    assert complaint.occurred_at == datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize("local", ["2026-11-01T01:30:00", "2026-03-08T02:30:00"])
def test_a_time_that_clocks_show_twice_or_never_is_refused(local: str) -> None:
    """The hour in which clocks change says nothing without an offset."""
    assert codes(channel="counter", occurred_at=local) == [("occurred_at", "time_ambiguous")]


def test_the_description_may_have_20000_characters_and_no_more() -> None:
    """Characters count, not bytes."""
    assert codes(description="慢" * DESCRIPTION_CHARACTERS_MAX) == []
    assert codes(description="慢" * (DESCRIPTION_CHARACTERS_MAX + 1)) == [("description", "string_too_long")]
    assert codes(description=" \n ") == [("description", "missing")]
    assert codes(description="\u200b\u3164") == [("description", "missing")]
    assert codes(description="😡") == []


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\u202e", "\u2066", "\uffff"])
def test_characters_that_hide_or_reorder_text_are_refused(character: str) -> None:
    """In every text field."""
    assert codes(description=f"a{character}b") == [("description", "forbidden_character")]
    assert codes(subject=f"a{character}b") == [("subject", "forbidden_character")]


def test_half_a_character_is_refused() -> None:
    """A lone surrogate has no encoding and would break whoever stores it."""
    assert codes(description="a\ud800") == [("description", "broken_character")]
    assert codes(complainant={"phone": "13800138000", "name": "\udfff"}) == [("complainant.name", "broken_character")]


@pytest.mark.parametrize("text", ["line one\r\nline two\tend", "مرحبا بكم", "👨‍👩‍👧 семья", "ไม่ได้รับพัสดุ"])
def test_any_language_is_taken(text: str) -> None:
    """Tabs, line ends, right-to-left scripts and emoji are text."""
    assert codes(description=text) == []


def test_unknown_fields_are_named_and_cost_nothing() -> None:
    """A misspelt field is told, not swallowed and not refused."""
    found = checked(descripton="x", complainant={"phone": "13800138000", "telephone": "1"})
    assert found.complaint is not None
    assert set(found.ignored) == {"descripton", "complainant.telephone"}


def test_short_names_of_feeds_are_understood() -> None:
    """`text`, `lang` and a single `waybill` say the same as the long names."""
    raw = {"complainant": {"phone": "13800138000"}, "text": "Late", "lang": "en-GB", "waybill": "yt 1234567"}
    complaint = check(raw, Circumstances(NOW)).complaint
    assert complaint is not None
    assert (complaint.description, complaint.language, complaint.waybills) == ("Late", "en", ("YT1234567",))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xfe", "not_utf8"),
        ("快".encode("gb18030"), "not_utf8"),
        (b"{", "not_json"),
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b'{"a":NaN}', "not_a_json_number"),
        (b'{"a":-Infinity}', "not_a_json_number"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"complainant":{"phone":"1","phone":"2"}}', "duplicate_key"),
        (b'{"a":' + b"[" * 100_000, "nested_too_deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested_too_deep"),
        (b'{"a":' + b"9" * 5_000 + b"}", "number_too_long"),
    ],
)
def test_bodies_that_are_no_json_object_are_refused_by_name(body: bytes, code: str) -> None:
    """Each kind of damage has its own words."""
    with pytest.raises(MalformedJson) as refusal:
        read_json(body)
    assert refusal.value.code == code


def test_empty_members_count_as_left_out() -> None:
    """A form that leaves a field open sends null or an empty string."""
    assert read_json(b'\xef\xbb\xbf{"a":null,"b":"","c":0}') == {"c": 0}


@pytest.mark.parametrize(
    ("text", "language"),
    [("快递太慢", "zh"), ("Where is my parcel?", "en"), ("SF123 快递 delay", "zh"), ("...", "en"), ("Привет", "en")],
)
def test_the_language_is_told_from_the_text(text: str, language: str) -> None:
    """Chinese when Han characters carry it."""
    assert language_of(text) is Language(language)


def test_the_content_is_the_same_however_it_is_written_down() -> None:
    """Order, spacing and the writing of a phone number do not make another complaint; the key is not part of it."""
    one = checked(idempotency_key="a").complaint
    other = check(
        {"description": " 快递太慢了", "complainant": {"phone": "+86 138 0013 8000"}}, Circumstances(NOW)
    ).complaint
    assert one is not None
    assert other is not None
    assert one.canonical() == other.canonical()
