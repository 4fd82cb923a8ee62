"""How a text becomes segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wording.sms_text import GSM_7BIT, HAS_HEADER, UCS2, Segment, TextTooLong, segments


def bodies(parts: list[Segment]) -> list[bytes]:
    """Octets without their headers."""
    return [p.short_message[6:] if p.esm_class == HAS_HEADER else p.short_message for p in parts]


def test_a_text_of_160_gsm_characters_is_one_segment() -> None:
    """160 septets fit without a header."""
    (only,) = segments("a" * 160, reference=1)
    assert only == Segment(b"a" * 160, GSM_7BIT, 0)


def test_one_character_more_makes_two_segments_of_153() -> None:
    """The header takes seven septets of each part."""
    first, second = segments("a" * 161, reference=7)
    assert first.short_message == bytes((5, 0, 3, 7, 2, 1)) + b"a" * 153
    assert second.short_message == bytes((5, 0, 3, 7, 2, 2)) + b"a" * 8
    assert first.esm_class == second.esm_class == HAS_HEADER


def test_an_extension_character_counts_two_and_stays_whole() -> None:
    """The euro sign is an escape and a code, and both stand in one part."""
    text = "a" * 152 + "€" + "b" * 20
    first, second = bodies(segments(text, reference=0))
    assert first == b"a" * 152
    assert second == b"\x1be" + b"b" * 20


def test_eighty_extension_characters_fill_one_segment() -> None:
    """80 x 2 = 160 septets."""
    assert len(segments("{" * 80, reference=0)) == 1
    assert len(segments("{" * 81, reference=0)) == 2


def test_seventy_chinese_characters_are_one_segment_and_71_are_two() -> None:
    """140 octets of UTF-16 alone, 134 beside a header."""
    (only,) = segments("件" * 70, reference=0)
    assert (only.data_coding, len(only.short_message), only.esm_class) == (UCS2, 140, 0)
    first, second = bodies(segments("件" * 71, reference=0))
    assert (len(first), len(second)) == (134, 8)


def test_the_halves_of_a_surrogate_pair_stay_in_one_part() -> None:
    """A character beyond the basic plane moves to the next part when only one half had room."""
    first, second = bodies(segments("件" * 66 + "𠮷" + "件" * 10, reference=0))
    assert first.decode("utf-16-be") == "件" * 66
    assert second.decode("utf-16-be") == "𠮷" + "件" * 10


def test_typographic_quotes_do_not_halve_the_room_of_an_english_text() -> None:
    """A curly apostrophe is sent as a straight one."""
    (only,) = segments("We’re sorry — really…", reference=0)
    assert only.data_coding == GSM_7BIT
    assert only.short_message == b"We're sorry - really..."


def test_typographic_quotes_stay_in_a_chinese_text() -> None:
    """Where UCS-2 is needed anyway, nothing is replaced."""
    (only,) = segments("“破损”", reference=0)
    assert only.short_message.decode("utf-16-be") == "“破损”"


def test_a_text_without_end_is_refused() -> None:
    """More than 255 parts cannot be told apart."""
    with pytest.raises(TextTooLong):
        segments("件" * (67 * 255 + 1), reference=0)


@given(st.text(max_size=1000), st.integers(0, 255))
def test_every_text_comes_out_as_it_went_in(text: str, reference: int) -> None:
    """Parts are within their limits, numbered 1..n, whole characters each, and add up to the text."""
    parts = segments(text, reference=reference)
    room = {GSM_7BIT: 160, UCS2: 140}[parts[0].data_coding]
    assert all(len(p.short_message) <= room for p in parts)
    if len(parts) > 1:
        assert [p.short_message[:6] for p in parts] == [
            bytes((5, 0, 3, reference, len(parts), n)) for n in range(1, len(parts) + 1)
        ]
    if parts[0].data_coding == UCS2:
        assert "".join(b.decode("utf-16-be") for b in bodies(parts)) == text.replace("\r", "")
    else:
        assert not any(b.endswith(b"\x1b") for b in bodies(parts))
