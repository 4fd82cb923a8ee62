"""Short messages by SMPP 3.4: a transceiver session that comes back by itself, receipts stored before the answer.

Status codes: SMPP 3.4 section 5.1.3. Receipts: sections 5.3.2.12 (receipted_message_id), 5.3.2.35 (message_state) and
appendix B (the text form).
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

import smpp34

from schemas.codes import DeliveryChannel
from services.notifier.gateway import (
    Envelope,
    Later,
    NotTaken,
    OnReceipt,
    Outcome,
    Receipt,
    Refused,
    Taken,
    Unanswerable,
    Unsure,
)
from services.notifier.lookup import Lookup
from services.notifier.smpp_session import Acknowledge, Answer, BindRefused, NeverSent, SessionEnded, SmppSession
from services.runtime.logging import get_logger
from services.runtime.readiness import Readiness
from services.wording.sms_text import Segment, TextTooLong, segments

log = get_logger(__name__)

OUT_ID_TAG: Final = 0x1501
"""Vendor-specific TLV with our notification id."""
_RECEIPTED_MESSAGE_ID: Final = 0x001E
_MESSAGE_STATE: Final = 0x0427

_AGAIN: Final = {0x58: "throttled", 0x14: "queue_full"}
"""ESME_RTHROTTLED, ESME_RMSGQFUL: the provider wants us slower."""
_WORTH_WAITING: Final = frozenset({*_AGAIN.values(), "provider_unreachable"})
_NEVER: Final = {
    0x01: "text_too_long",
    0x0B: "no_such_number",
    0x48: "no_such_number",
    0x50: "no_such_number",
    0x66: "rejected",
    0x67: "rejected",
}
"""Faults of this number or this text: RINVMSGLEN, RINVDSTADR, RINVDSTTON, RINVDSTNPI, RX_P_APPN, RX_R_APPN."""
_ARRIVED: Final = {2: True, 3: False, 4: False, 5: False, 8: False}
"""message_state: delivered; expired, deleted, undeliverable, rejected. Others are no final word."""
_ARRIVED_TEXT: Final = {"DELIVRD": True, "EXPIRED": False, "DELETED": False, "UNDELIV": False, "REJECTD": False}
_RECEIPT_TEXT: Final = re.compile(rb"id:(\S+)\s.*?stat:([A-Z]+)", re.DOTALL)
_IS_RECEIPT: Final = 0x04
_PAUSE_FIRST_S: Final = 0.05
_PAUSE_S_MAX: Final = 2.0
_RECONNECT_FIRST_S: Final = 0.1
_RECONNECT_S_MAX: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmppAccount:
    """Where to bind and as whom."""

    host: str
    port: int
    system_id: str = "amends"
    password: str = ""
    source: str = "Amends"
    """What is shown as the sender: digits, or up to 11 letters."""
    tls: bool = False
    window: int = 64
    """Submissions without an answer at a time."""
    enquire_s: float = 15.0
    patience_s: float = 3.0
    """How long one message waits for a session, or for a provider that wants us slower."""
    answer_s_max: float = 4.0
    """From a submission to its answer. Both together are less than half a lease."""


class SmppGateway:
    """Sends by one provider."""

    def __init__(self, account: SmppAccount, *, on_receipt: OnReceipt, lookup: Lookup, readiness: Readiness) -> None:
        self._account = account
        self._on_receipt = on_receipt
        self._lookup = lookup
        self._readiness = readiness
        self._window = asyncio.Semaphore(account.window)
        self._turn = asyncio.Lock()
        """Of several calls of `send` the first is done soonest: it can be stored while the next one is submitted."""
        self._session: SmppSession | None = None
        self._bound = asyncio.Event()
        self._pause_s = 0.0
        self._paused_until = 0.0
        self._keeping: asyncio.Task[None] | None = None

    @property
    def channel(self) -> DeliveryChannel:
        """SMS."""
        return DeliveryChannel.SMS

    async def start(self) -> None:
        """Begin to connect; a provider that is away does not stop the start."""
        self._readiness.set("sms", False, "no session with the SMS provider yet")
        self._keeping = asyncio.create_task(self._keep_bound(), name="smpp")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bound.wait(), self._account.patience_s)

    async def stop(self) -> None:
        """Take leave."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._session:
            await self._session.unbind()

    async def send(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """See `Gateway`. All segments go at once; what is sent again goes whole, under the same reference."""
        texts = [_Text.of(envelope) for envelope in envelopes]
        loop = asyncio.get_running_loop()
        until = loop.time() + self._account.patience_s
        going = [text for text in texts if text.segments]
        while going:
            session = await self._session_by(until)
            if session is None:
                for text in going:
                    text.outcomes = text.outcomes or {0: Later("provider_unreachable")}
                break
            await self._pace()
            async with self._turn:
                submitted = [
                    (text, number, await self._submit(session, text.envelope, segment, until=until))
                    for text in going
                    for number, segment in text.left()
                ]
            is_over = False
            for text, number, answer in submitted:
                try:
                    text.outcomes[number] = self._read(await answer) if answer else Later("provider_slow")
                except NeverSent:
                    is_over, text.outcomes[number] = True, Later("provider_unreachable")
                except SessionEnded:
                    text.outcomes[number] = Unsure()
            going = [text for text in going if text.is_worth_waiting] if loop.time() < until else []
            if going and is_over:  # The session has just ended; another one comes.
                await asyncio.sleep(_PAUSE_FIRST_S)
        return [text.outcome for text in texts]

    async def lookup(self, notification_id: UUID) -> Taken | NotTaken | Unanswerable:
        """See `Gateway`."""
        return await self._lookup.find(notification_id, self.channel)

    async def _submit(
        self, session: SmppSession, envelope: Envelope, segment: Segment, *, until: float
    ) -> asyncio.Future[Answer] | None:
        """Submit one segment as soon as the window has room; None when it has none by then."""
        if asyncio.get_running_loop().time() >= until:
            return None
        try:
            async with asyncio.timeout_at(until):
                await self._window.acquire()
        except TimeoutError:
            return None
        answer = session.submit(lambda number: self._pdu(envelope, segment, number))
        answer.add_done_callback(lambda _: self._window.release())
        return answer

    def _read(self, answer: Answer) -> Outcome:
        if answer.status == 0:
            self._pause_s = 0.0
            return Taken((answer.text,))
        if why := _NEVER.get(answer.status):
            return Refused(why)
        if why := _AGAIN.get(answer.status):
            self._slow_down()
            return Later(why)
        # A fault of ours or theirs, not of the number: the same for every message until somebody mends it.
        log.error("smpp.refused", status=f"0x{answer.status:08x}")
        return Later(f"smpp_0x{answer.status:08x}")

    def _slow_down(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            return  # One of those that were under way when the pause began.
        self._pause_s = min(max(self._pause_s * 2, _PAUSE_FIRST_S), _PAUSE_S_MAX)
        self._paused_until = now + self._pause_s

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._paused_until - loop.time()) > 0:  # noqa: ASYNC110 - the pause may be made longer meanwhile
            await asyncio.sleep(left)

    async def _session_by(self, until: float) -> SmppSession | None:
        try:
            async with asyncio.timeout_at(until):
                await self._bound.wait()
        except TimeoutError:
            return None
        return self._session

    def _pdu(self, envelope: Envelope, segment: Segment, number: int) -> smpp34.SubmitSm:
        source = self._account.source
        digits = source.lstrip("+").isdecimal()
        return smpp34.SubmitSm(
            source.lstrip("+"),
            envelope.address.lstrip("+"),
            segment.short_message,
            source_addr_ton=(1 if source.startswith("+") else 0) if digits else 5,
            source_addr_npi=1 if digits else 0,
            dest_addr_ton=1,
            dest_addr_npi=1,
            esm_class=segment.esm_class,
            registered_delivery=1,
            data_coding=segment.data_coding,
            tlvs=[smpp34.Tlv(OUT_ID_TAG, str(envelope.notification_id).encode())],
            sequence_number=number,
        )

    async def _keep_bound(self) -> None:
        """Be bound, for ever."""
        account, wait_s = self._account, _RECONNECT_FIRST_S
        while True:
            try:
                session = await SmppSession.bind(
                    account.host,
                    account.port,
                    system_id=account.system_id,
                    password=account.password,
                    on_deliver=self._on_deliver,
                    tls=account.tls,
                    answer_s_max=account.answer_s_max,
                )
            except (OSError, SessionEnded, BindRefused) as error:
                log.warning("smpp.unbound", error=str(error) or type(error).__name__, again_in_s=wait_s)
                self._readiness.set("sms", False, f"no session with the SMS provider: {type(error).__name__}")
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _RECONNECT_S_MAX)
                continue
            log.info("smpp.bound", host=account.host, port=account.port)
            wait_s = _RECONNECT_FIRST_S
            self._session = session
            self._readiness.set("sms", True)
            self._bound.set()
            alive = asyncio.create_task(session.keep_alive(account.enquire_s))
            try:
                await session.ended.wait()
            finally:
                self._bound.clear()
                alive.cancel()
            log.warning("smpp.session_ended")
            self._readiness.set("sms", False, "the session with the SMS provider ended")
            await asyncio.sleep(wait_s)

    def _on_deliver(self, pdu: smpp34.DeliverSm, acknowledge: Acknowledge) -> None:
        receipt = read_receipt(pdu)
        if receipt is None:
            acknowledge(True)
        else:
            self._on_receipt(receipt, acknowledge)


@dataclass(slots=True)
class _Text:
    """A text on its way, with what is known of each segment."""

    envelope: Envelope
    segments: list[Segment]
    outcomes: dict[int, Outcome]

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        try:
            parts = segments(envelope.rendered.text, reference=envelope.notification_id.int & 0xFF)
        except TextTooLong:
            return cls(envelope, [], {0: Refused("text_too_long")})
        return cls(envelope, parts, {})

    def left(self) -> list[tuple[int, Segment]]:
        """Segments that the provider does not have, with their numbers."""
        return [(n, part) for n, part in enumerate(self.segments) if not isinstance(self.outcomes.get(n), Taken)]

    @property
    def outcome(self) -> Outcome:
        worst = _worst(self.outcomes.values())
        return Unsure(len(self.segments)) if isinstance(worst, Unsure) else worst

    @property
    def is_worth_waiting(self) -> bool:
        worst = self.outcome
        return isinstance(worst, Later) and worst.why in _WORTH_WAITING


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    """What holds of a text, given what holds of its segments."""
    every = list(outcomes)
    for kind in (Refused, Unsure, Later):
        if worst := next((o for o in every if isinstance(o, kind)), None):
            return worst
    return Taken(tuple(id_ for o in every if isinstance(o, Taken) for id_ in o.provider_ids), segments=len(every))


def read_receipt(pdu: smpp34.DeliverSm) -> Receipt | None:
    """The final word on a message, by TLV where there are any, else by the text. None: a reply, or no final word."""
    if not pdu.esm_class & _IS_RECEIPT:
        return None
    tlvs = {tlv.tag: tlv.value for tlv in pdu.tlvs}
    named, state = tlvs.get(_RECEIPTED_MESSAGE_ID), tlvs.get(_MESSAGE_STATE)
    text = None if named and state else _RECEIPT_TEXT.search(pdu.short_message)
    provider_id = named.partition(b"\0")[0] if named else text[1] if text else b""
    arrived = _ARRIVED.get(state[0]) if state else _ARRIVED_TEXT.get(text[2].decode("ascii")) if text else None
    return Receipt(provider_id.decode("latin-1"), arrived) if provider_id and arrived is not None else None
