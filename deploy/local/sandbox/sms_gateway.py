"""The gateway of short messages: an SMPP 3.4 server that takes, refuses, waits, hangs up and sends receipts as told."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from enum import IntEnum
from uuid import uuid4

from smpp34 import Esme, Server, SmppError, SubmitSmEvent, Tlv, Unbound

from deploy.local.ports import free_ports
from deploy.local.sandbox import OUT_ID_TAG
from deploy.local.sandbox.behaviour import Behaviours, Mode
from deploy.local.sandbox.messages_store import MessagesStore, Receipt, Submission
from deploy.local.sandbox.relay import Relay
from deploy.local.sandbox.segment import BadSegmentError, Segment, segment_of

_INTERNATIONAL = 1
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE = 0x001E, 0x0427
_IS_RECEIPT = 0x04
_RECEIPTS_AT_ONCE = 32
_RECEIPT_AGAIN_S = 0.5


class Status(IntEnum):
    """Answers to `submit_sm`, SMPP 3.4 section 5.1.3."""

    INVALID_LENGTH = 0x01
    INVALID_DESTINATION = 0x0B
    THROTTLED = 0x58


class SmsGateway:
    """SMPP on `port` of `host`."""

    def __init__(
        self, *, store: MessagesStore, behaviours: Behaviours, host: str, port: int, receipt_delay_s: float
    ) -> None:
        self._store = store
        self._behaviours = behaviours
        self._receipt_delay_s = receipt_delay_s
        (inner,) = free_ports(1)
        self._server = Server("127.0.0.1", inner, system_id="sandbox", inbound_capacity=8192)
        self._relay = Relay(host=host, port=port, target=inner)
        self._sessions: dict[str, Esme] = {}
        self._window = asyncio.Semaphore(_RECEIPTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._server.start()
        await self._relay.start()
        for submission in self._store.owed_receipts():
            self._later(self._send_receipt(submission))
        try:
            while True:
                event = await self._server.next()
                if isinstance(event, Esme):
                    self._sessions[event.session_id] = event
                elif isinstance(event, Unbound):
                    self._sessions.pop(event.session_id, None)
                else:
                    self._receive(event)
        finally:
            await self._relay.stop()
            await self._server.stop()

    def _receive(self, event: SubmitSmEvent) -> None:
        to = f"+{event.destination_addr}" if event.dest_addr_ton == _INTERNATIONAL else event.destination_addr
        tlvs = {tlv.tag: tlv.value for tlv in event.tlvs}
        try:
            segment = segment_of(
                short_message=event.short_message,
                esm_class=event.esm_class,
                data_coding=event.data_coding,
                tlvs=tlvs,
            )
        except BadSegmentError:
            event.reject(Status.INVALID_LENGTH)
            return
        rule = self._behaviours.take("sms", to, now=time.monotonic())
        mode = rule.mode if rule else Mode.ACCEPT
        if mode is Mode.REFUSE or not event.destination_addr.lstrip("+").isdecimal():
            event.reject(Status.INVALID_DESTINATION)
        elif mode is Mode.THROTTLE:
            event.reject(Status.THROTTLED)
        elif mode is Mode.HANG_UP:
            self._relay.hang_up()
        else:
            submission = self._submission(event, to=to, out_id=tlvs.get(OUT_ID_TAG, b""), mode=mode)
            self._later(self._take(event, submission, segment, mode, rule.seconds if rule else 0))

    def _submission(self, event: SubmitSmEvent, *, to: str, out_id: bytes, mode: Mode) -> Submission:
        if not event.registered_delivery & 1:
            receipt = Receipt.NONE
        else:
            receipt = Receipt.DROPPED if mode is Mode.DROP_RECEIPTS else Receipt.PENDING
        session = self._sessions.get(event.session_id)
        return Submission(
            id=uuid4().hex,
            system_id=session.system_id if session else "",
            source=event.source_addr,
            destination=event.destination_addr,
            to=to,
            data_coding=event.data_coding,
            out_id=out_id.rstrip(b"\0").decode("ascii", errors="replace"),
            receipt=receipt,
            undeliverable=mode is Mode.UNDELIVERABLE,
            submitted_at=time.time(),
        )

    async def _take(
        self, event: SubmitSmEvent, submission: Submission, segment: Segment, mode: Mode, delay_s: float
    ) -> None:
        self._store.add_submission(submission, segment)
        await self._store.kept()
        if mode is Mode.TAKE_AND_HANG_UP:
            self._relay.hang_up()
        else:
            if mode is Mode.DELAY:
                await asyncio.sleep(delay_s)
            event.accept(submission.id)
        if submission.receipt is Receipt.PENDING:
            await asyncio.sleep(self._receipt_delay_s)
            await self._send_receipt(submission)

    async def _send_receipt(self, submission: Submission) -> None:
        """Hand the receipt to a session of the sender, now or when it binds again."""
        while True:
            async with self._window:
                if await self._deliver(submission):
                    break
            await asyncio.sleep(_RECEIPT_AGAIN_S)
        self._store.set_receipt(submission.id, Receipt.FAILED if submission.undeliverable else Receipt.DELIVERED)
        await self._store.kept()

    async def _deliver(self, submission: Submission) -> bool:
        failed = submission.undeliverable
        state, code = ("UNDELIV", 5) if failed else ("DELIVRD", 2)
        submitted, done = datetime.fromtimestamp(submission.submitted_at, UTC), datetime.now(UTC)
        text = (
            f"id:{submission.id} sub:001 dlvrd:{'000' if failed else '001'} submit date:{submitted:%y%m%d%H%M} "
            f"done date:{done:%y%m%d%H%M} stat:{state} err:{'001' if failed else '000'} text:"
        )
        for session in list(self._sessions.values()):
            if session.system_id != submission.system_id or not session.can_receive:
                continue
            try:
                answer = await session.deliver_sm(
                    submission.source,
                    text.encode("ascii"),
                    source_addr=submission.destination,
                    esm_class=_IS_RECEIPT,
                    tlvs=[
                        Tlv(_RECEIPTED_MESSAGE_ID, submission.id.encode() + b"\0"),
                        Tlv(_MESSAGE_STATE, bytes([code])),
                    ],
                )
            except SmppError:
                continue
            if answer.is_success:
                return True
        return False

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
