"""Segments of short messages: header, TLVs, alphabets, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.sandbox.segment import BadSegmentError, Segment, decoded, segment_of


def test_reads_the_eight_bit_header() -> None:
    """A concatenation header gives reference, total and number, and is no part of the text."""
    segment = segment_of(short_message=b"\x05\x00\x03\x2a\x03\x02hello", esm_class=0x40, data_coding=0, tlvs={})
    assert segment == Segment(b"hello", reference=0x2A, total=3, number=2)


def test_reads_the_sixteen_bit_header_after_another_element() -> None:
    """The concatenation is found behind elements of other kinds."""
    header = b"\x0a\x24\x01\x00\x08\x04\x01\x02\x02\x01"
    segment = segment_of(short_message=b"\x0a" + header[1:] + b"\x00hi", esm_class=0x40, data_coding=0, tlvs={})
    assert (segment.reference, segment.total, segment.number) == (0x0102, 2, 1)


def test_reads_the_sar_parameters() -> None:
    """The TLVs sar_* say the same as a header."""
    tlvs = {0x020C: b"\x00\x07", 0x020E: b"\x02", 0x020F: b"\x01"}
    assert segment_of(short_message=b"a", esm_class=0, data_coding=0, tlvs=tlvs) == Segment(b"a", 7, 2, 1)


def test_takes_a_whole_text_from_the_payload() -> None:
    """message_payload has no limit of a segment."""
    assert segment_of(short_message=b"", esm_class=0, data_coding=8, tlvs={0x0424: b"x" * 999}).body == b"x" * 999


@pytest.mark.parametrize(
    ("message", "esm_class", "data_coding"),
    [
        (b"x" * 161, 0, 0),
        (b"x" * 141, 0, 8),
        (b"\x05\x00\x03\x01\x02\x03x", 0x40, 0),  # number 3 of 2
        (b"\x05\x00\x03\x01\x02\x00x", 0x40, 0),  # number 0
        (b"\x40abc", 0x40, 0),  # a header longer than the message
        (b"", 0x40, 0),
    ],
)
def test_refuses_what_a_gateway_refuses(message: bytes, esm_class: int, data_coding: int) -> None:
    """Too long a segment or a broken header is an error."""
    with pytest.raises(BadSegmentError):
        segment_of(short_message=message, esm_class=esm_class, data_coding=data_coding, tlvs={})


def test_decodes_the_gsm_alphabet() -> None:
    """Octets are positions of GSM 03.38, with the extension behind an escape."""
    assert decoded(b"\x00\x11\x1be\x1b\x28 Ok", 0) == "@_€{ Ok"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_decodes_utf_16(text: str) -> None:
    """data_coding 8 is UTF-16, also outside the basic plane."""
    assert decoded(text.encode("utf-16-be"), 8) == text


@given(st.binary(max_size=140), st.sampled_from([0, 3, 8]), st.sampled_from([0, 0x40]))
def test_survives_any_octets(message: bytes, data_coding: int, esm_class: int) -> None:
    """Whatever comes is decoded or refused."""
    try:
        segment = segment_of(short_message=message, esm_class=esm_class, data_coding=data_coding, tlvs={})
    except BadSegmentError:
        return
    assert isinstance(decoded(segment.body, data_coding), str)
