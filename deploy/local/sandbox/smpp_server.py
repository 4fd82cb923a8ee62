"""The server's side of SMPP 3.4 over asyncio: sessions bind, submit and get receipts. The PDUs are coded by `smpp34`.

That library has a server, too, but one that cannot drop a connection without a word, and passes every PDU between two
threads, which costs more than all the rest of the sandbox.

SMPP 3.4: https://smpp.org/SMPP_v3_4_Issue1_2.pdf, sections 3.2 (PDU layout), 4 (PDUs).
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

from smpp34 import DeliverSm, SmppError, SubmitSm, decode

_HEADER: Final = struct.Struct(">IIII")
_RESPONSE: Final = 0x80000000
_GENERIC_NACK: Final = 0x80000000
_BINDS: Final = {0x01: True, 0x02: False, 0x09: True}
"""bind_receiver, bind_transmitter, bind_transceiver: whether receipts may go there."""
_SUBMIT_SM: Final = 0x04
_UNBIND: Final = 0x06
_ENQUIRE_LINK: Final = 0x15
_INVALID_COMMAND: Final = 0x03
_PDU_BYTES_MAX: Final = 1 << 20

OnSubmit = Callable[["Session", int, SubmitSm], None]
"""Called with the session and the sequence number that the answer must name."""


class Session(asyncio.Protocol):
    """One connection of a client."""

    def __init__(
        self, *, on_bound: Callable[["Session"], None], on_submit: OnSubmit, on_ended: Callable[["Session"], None]
    ) -> None:
        self._on_bound = on_bound
        self._on_submit = on_submit
        self._on_ended = on_ended
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._unwritten = bytearray()
        self._sequence = 0
        self._waiting: dict[int, Callable[[bool], None]] = {}
        self.system_id = ""
        self.can_receive = False

    @property
    def unanswered(self) -> int:
        """Receipts that the client has not acknowledged."""
        return len(self._waiting)

    def accept(self, sequence: int, message_id: str) -> None:
        """Answer a submission: taken."""
        self._answer(_SUBMIT_SM, sequence, body=message_id.encode("ascii") + b"\0")

    def reject(self, sequence: int, status: int) -> None:
        """Answer a submission: not taken."""
        self._answer(_SUBMIT_SM, sequence, status=status)

    def deliver(self, make: Callable[[int], DeliverSm], answered: Callable[[bool], None]) -> None:
        """Send what `make` makes of a sequence number; `answered` is told whether the client took it."""
        self._sequence = self._sequence % 0x7FFFFFFE + 1
        self._waiting[self._sequence] = answered
        self._write(make(self._sequence).encode())

    def hang_up(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's callback."""
        # uvloop has transports of its own that are no subclass of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's callback."""
        self._on_ended(self)
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(False)

    def data_received(self, data: bytes) -> None:
        """Asyncio's callback: cut the stream into PDUs."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _HEADER.size and not self._transport.is_closing():
            length = int.from_bytes(self._buffer[start : start + 4])
            if not _HEADER.size <= length <= _PDU_BYTES_MAX:
                self.hang_up()
                return
            if len(self._buffer) - start < length:
                break
            self._receive(bytes(self._buffer[start : start + length]))
            start += length
        del self._buffer[:start]

    def _receive(self, pdu: bytes) -> None:
        _, command, status, sequence = _HEADER.unpack_from(pdu)
        if command & _RESPONSE:
            if answered := self._waiting.pop(sequence, None):
                answered(status == 0)
        elif command == _SUBMIT_SM:
            try:
                submission = decode(pdu)
            except SmppError:
                self.reject(sequence, _INVALID_COMMAND)
                return
            self._on_submit(self, sequence, cast("SubmitSm", submission))
        elif command in _BINDS:
            self.system_id = pdu[_HEADER.size :].partition(b"\0")[0].decode("latin-1")
            self.can_receive = _BINDS[command]
            self._answer(command, sequence, body=b"sandbox\0")
            self._on_bound(self)
        elif command in {_ENQUIRE_LINK, _UNBIND}:
            self._answer(command, sequence)
            if command == _UNBIND:
                self._flush()
                self._transport.close()
        else:
            self._write(_HEADER.pack(_HEADER.size, _GENERIC_NACK, _INVALID_COMMAND, sequence))

    def _answer(self, command: int, sequence: int, *, status: int = 0, body: bytes = b"") -> None:
        self._write(_HEADER.pack(_HEADER.size + len(body), command | _RESPONSE, status, sequence) + body)

    def _write(self, pdu: bytes) -> None:
        # What is written in one turn of the loop goes in one system call.
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unwritten += pdu

    def _flush(self) -> None:
        if self._unwritten and not self._transport.is_closing():
            self._transport.write(bytes(self._unwritten))
        self._unwritten.clear()
