"""What one `submit_sm` carries: characters, and its place in a longer text. Pure.

Sources: SMPP 3.4 sections 5.2.19 (data_coding) and 5.3.2 (TLVs), 3GPP TS 23.038 (alphabet), 23.040 9.2.3.24 (header).
"""

from collections.abc import Mapping
from dataclasses import dataclass

_HAS_HEADER = 0x40
_SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER, _PAYLOAD = 0x020C, 0x020E, 0x020F, 0x0424
_CONCATENATED_8_BIT, _CONCATENATED_16_BIT = 0x00, 0x08
_OCTETS_MAX = {0: 160, 1: 160}
_ESCAPE = 0x1B

_GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = dict(zip(b"\x0a\x14\x28\x29\x2f\x3c\x3d\x3e\x40\x65", "\f^{}\\[~]|€", strict=True))


class BadSegmentError(ValueError):
    """The segment breaks the protocol: too long, or a header that says nonsense."""


@dataclass(frozen=True)
class Segment:
    """Octets of a text without its header, and where they belong: number 1..total of the text `reference`."""

    body: bytes
    reference: int = 0
    total: int = 1
    number: int = 1


def segment_of(*, short_message: bytes, esm_class: int, data_coding: int, tlvs: Mapping[int, bytes]) -> Segment:
    """Read the concatenation from the header or the TLVs.

    Raises:
        BadSegmentError: More octets than a short message has, or a broken header.
    """
    if _PAYLOAD in tlvs:
        return Segment(tlvs[_PAYLOAD])
    if len(short_message) > _OCTETS_MAX.get(data_coding, 140):
        raise BadSegmentError(f"{len(short_message)} octets in one segment of data_coding {data_coding}")
    if esm_class & _HAS_HEADER:
        return _from_header(short_message)
    if _SAR_TOTAL in tlvs:
        reference, total, number = (
            int.from_bytes(tlvs.get(tag, b"")) for tag in (_SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER)
        )
        return _checked(Segment(short_message, reference, total, number))
    return Segment(short_message)


def decoded(body: bytes, data_coding: int) -> str:
    """The text as a phone shows it; what cannot be decoded becomes U+FFFD."""
    if data_coding == 8:
        return body.decode("utf-16-be", errors="replace")
    if data_coding in {3, 4}:
        return body.decode("latin-1")
    return "".join(_gsm_characters(body))


def _gsm_characters(body: bytes) -> list[str]:
    characters: list[str] = []
    escaped = False
    for octet in body:
        if escaped:
            characters.append(_GSM_EXTENSION.get(octet, " "))
        elif octet != _ESCAPE:
            characters.append(_GSM[octet] if octet < len(_GSM) else "\N{REPLACEMENT CHARACTER}")
        escaped = octet == _ESCAPE and not escaped
    return characters


def _from_header(short_message: bytes) -> Segment:
    if not short_message or len(short_message) <= short_message[0]:
        raise BadSegmentError("the user data header is longer than the message")
    end = 1 + short_message[0]
    position = 1
    while position + 2 <= end:
        element, length = short_message[position], short_message[position + 1]
        value = short_message[position + 2 : min(position + 2 + length, end)]
        if element in {_CONCATENATED_8_BIT, _CONCATENATED_16_BIT} and len(value) >= 3:
            return _checked(Segment(short_message[end:], int.from_bytes(value[:-2]), value[-2], value[-1]))
        position += 2 + length
    return Segment(short_message[end:])


def _checked(segment: Segment) -> Segment:
    if not 1 <= segment.number <= segment.total:
        raise BadSegmentError(f"segment {segment.number} of {segment.total}")
    return segment
