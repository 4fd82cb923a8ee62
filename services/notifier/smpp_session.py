"""One bound SMPP 3.4 session (transceiver) over asyncio; the PDUs themselves are coded by `smpp34`.

`smpp34` has a client, too, but that one acknowledges a receipt before we have seen it: a receipt that is in memory when
the process dies would be lost for good, and the message sent again by another channel. Here the answer to `deliver_sm`
waits for us.

SMPP 3.4: https://smpp.org/SMPP_v3_4_Issue1_2.pdf, sections 3.2 (PDU layout), 4 (PDUs), 5.1.3 (status).
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, cast

import smpp34

from services.runtime.logging import get_logger

log = get_logger(__name__)

_HEADER: Final = struct.Struct(">IIII")
_RESPONSE: Final = 0x80000000
_GENERIC_NACK: Final = 0x80000000
_BIND_TRANSCEIVER: Final = 0x00000009
_DELIVER_SM: Final = 0x00000005
_UNBIND: Final = 0x00000006
_ENQUIRE_LINK: Final = 0x00000015
_INTERFACE_VERSION: Final = 0x34
_INVALID_COMMAND: Final = 0x03
_TRY_AGAIN: Final = 0x64
"""ESME_RX_T_APPN: a passing fault of the receiver; the provider sends the PDU again."""
_TICK_S: Final = 0.5
"""How often it is looked whether an answer is overdue."""
_PDU_BYTES_MAX: Final = 1 << 20


class SessionEnded(Exception):  # noqa: N818 - told of the session
    """The session is over, or the peer did not answer in time. What was submitted may have been taken."""


class NeverSent(SessionEnded):
    """The session was over before anything was written."""


class BindRefused(Exception):  # noqa: N818 - told of the peer's answer
    """The peer does not let us in; its status is in the message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response PDU."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as a C-octet string."""
        return self.body.partition(b"\0")[0].decode("latin-1")


Acknowledge = Callable[[bool], None]
"""Answers a `deliver_sm`: taken, or to be sent again."""
OnDeliver = Callable[[smpp34.DeliverSm, Acknowledge], None]
"""Called for every `deliver_sm`; must not block. The peer waits until it calls the second argument."""


class SmppSession(asyncio.Protocol):
    """A connection that is bound, or on the way there."""

    def __init__(self, *, on_deliver: OnDeliver, answer_s_max: float = 10.0) -> None:
        self._on_deliver = on_deliver
        self._answer_s_max = answer_s_max
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._sequence = 0
        self._waiting: dict[int, tuple[float, asyncio.Future[Answer]]] = {}
        """By sequence number, oldest first: until when an answer is waited for, and who waits."""
        self._unwritten = bytearray()
        self._heard_at = self._loop.time()
        self.ended = asyncio.Event()

    @classmethod
    async def bind(
        cls,
        host: str,
        port: int,
        *,
        system_id: str,
        password: str,
        on_deliver: OnDeliver,
        tls: bool = False,
        answer_s_max: float = 10.0,
    ) -> Self:
        """Connect and bind.

        Raises:
            OSError: nobody answers at that address.
            BindRefused: the peer does not let us in.
            SessionEnded: it hung up or said nothing.
        """
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if tls else None
        async with asyncio.timeout(answer_s_max):
            _, session = await loop.create_connection(
                lambda: cls(on_deliver=on_deliver, answer_s_max=answer_s_max), host, port, ssl=context
            )
        body = b"".join(part.encode("latin-1") + b"\0" for part in (system_id, password, ""))
        try:
            answer = await session.request(_BIND_TRANSCEIVER, body + bytes((_INTERFACE_VERSION, 0, 0)) + b"\0")
        except BaseException:
            session.abort()
            raise
        if answer.status:
            session.abort()
            raise BindRefused(f"bind_transceiver was answered with status 0x{answer.status:08x}")
        return session

    def submit(self, make: Callable[[int], smpp34.SubmitSm]) -> asyncio.Future[Answer]:
        """Submit what `make` makes of a sequence number, and give what to wait for.

        The answer may be the exception `NeverSent`, or `SessionEnded`: then it may have been taken.
        """
        sequence = self._next()
        return self._send(sequence, make(sequence).encode())

    async def request(self, command: int, body: bytes = b"") -> Answer:
        """Send a PDU and wait for the answer.

        Raises:
            SessionEnded: there was none.
        """
        sequence = self._next()
        pdu = _HEADER.pack(_HEADER.size + len(body), command, 0, sequence) + body
        try:
            return await asyncio.wait_for(self._send(sequence, pdu), self._answer_s_max)
        except TimeoutError:
            raise SessionEnded(f"no answer for {self._answer_s_max:.0f} s") from None

    async def keep_alive(self, every_s: float) -> None:
        """Ask the peer whether it is there whenever nothing was heard for so long; end the session if it is not."""
        asked: asyncio.Future[Answer] | None = None
        while not self.ended.is_set():
            now = self._loop.time()
            self._give_up(now)
            if asked is not None and asked.done():
                if asked.exception():
                    self.abort()
                    return
                asked = None
            if asked is None and now - self._heard_at >= every_s:
                sequence = self._next()
                asked = self._send(sequence, _HEADER.pack(_HEADER.size, _ENQUIRE_LINK, 0, sequence))
            await asyncio.sleep(min(every_s, _TICK_S))

    async def unbind(self) -> None:
        """Take leave, waiting no longer than a second for the answer."""
        try:
            async with asyncio.timeout(1.0):
                await self.request(_UNBIND)
        except (SessionEnded, TimeoutError):
            pass
        self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport:
            self._transport.abort()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's callback."""
        # uvloop has transports of its own that are no subclass of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's callback."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """Asyncio's callback: cut the stream into PDUs."""
        self._heard_at = self._loop.time()
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _HEADER.size:
            length = int.from_bytes(self._buffer[start : start + 4])
            if not _HEADER.size <= length <= _PDU_BYTES_MAX:
                log.warning("smpp.nonsense", command_length=length)
                self.abort()
                return
            if len(self._buffer) - start < length:
                break
            self._receive(bytes(self._buffer[start : start + length]))
            start += length
        del self._buffer[:start]

    def _receive(self, pdu: bytes) -> None:
        _, command, status, sequence = _HEADER.unpack_from(pdu)
        if command & _RESPONSE:
            _, future = self._waiting.pop(sequence, (0.0, None))
            if future and not future.done():
                future.set_result(Answer(status or (_INVALID_COMMAND if command == _GENERIC_NACK else 0), pdu[16:]))
        elif command == _DELIVER_SM:
            self._deliver(pdu, sequence)
        elif command == _ENQUIRE_LINK:
            self._answer(command, sequence)
        elif command == _UNBIND:
            self._answer(command, sequence)
            self.abort()
        else:
            self._write(_HEADER.pack(_HEADER.size, _GENERIC_NACK, _INVALID_COMMAND, sequence))

    def _deliver(self, pdu: bytes, sequence: int) -> None:
        def acknowledge(taken: bool) -> None:  # noqa: FBT001 - the one thing that is told
            self._answer(_DELIVER_SM, sequence, status=0 if taken else _TRY_AGAIN, body=b"\0")

        try:
            decoded = smpp34.decode(pdu)
        except smpp34.SmppError as error:
            # It would be as broken the next time: acknowledged, or it comes for ever.
            log.warning("smpp.undecodable", error=str(error))
            acknowledge(True)
            return
        if isinstance(decoded, smpp34.DeliverSm):
            self._on_deliver(decoded, acknowledge)
        else:
            acknowledge(True)

    def _send(self, sequence: int, pdu: bytes) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = self._loop.create_future()
        if self.ended.is_set():
            future.set_exception(NeverSent("the session is over"))
            return future
        self._waiting[sequence] = (self._loop.time() + self._answer_s_max, future)
        self._write(pdu)
        return future

    def _give_up(self, now: float) -> None:
        """No longer wait for answers that are overdue."""
        while self._waiting:
            sequence, (until, future) = next(iter(self._waiting.items()))
            if until > now:
                return
            del self._waiting[sequence]
            if not future.done():
                future.set_exception(SessionEnded(f"no answer for {self._answer_s_max:.0f} s"))

    def _answer(self, command: int, sequence: int, *, status: int = 0, body: bytes = b"") -> None:
        self._write(_HEADER.pack(_HEADER.size + len(body), command | _RESPONSE, status, sequence) + body)

    def _write(self, pdu: bytes) -> None:
        # What is written in one turn of the loop goes in one system call.
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten += pdu

    def _flush(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(bytes(self._unwritten))
        self._unwritten.clear()

    def _next(self) -> int:
        self._sequence = self._sequence % 0x7FFFFFFE + 1
        return self._sequence

    def _end(self) -> None:
        self.ended.set()
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(SessionEnded("the connection broke"))
        self._waiting.clear()
