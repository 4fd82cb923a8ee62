"""Ids of complaints whose caller named no key: random, and known again as ours without having been written down."""

import os
from typing import Final
from uuid import UUID

from services.runtime.sealing import Keyring

_RANDOM_BYTES: Final = 12


def fresh_id(keyring: Keyring) -> UUID:
    """A new id: 90 random bits, then 32 bits that only the keyring can make of them."""
    start = bytearray(os.urandom(_RANDOM_BYTES))
    start[6] = start[6] & 0x0F | 0x50
    start[8] = start[8] & 0x3F | 0x80
    return UUID(bytes=bytes(start) + _mark(keyring, bytes(start)))


def is_fresh_id(keyring: Keyring, complaint_id: UUID) -> bool:
    """Whether the id was made here, so that `GET` can tell "accepted a moment ago" from "never heard of"."""
    start = complaint_id.bytes[:_RANDOM_BYTES]
    return complaint_id.bytes[_RANDOM_BYTES:] == _mark(keyring, start)


def _mark(keyring: Keyring, start: bytes) -> bytes:
    return bytes.fromhex(keyring.blind("complaint-id", start.hex())[: 2 * (16 - _RANDOM_BYTES)])
