"""The gateway of short messages: takes, refuses, waits, hangs up and sends receipts as told."""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import uuid4

from smpp34 import DeliverSm, SubmitSm, Tlv

from deploy.local.sandbox import OUT_ID_TAG
from deploy.local.sandbox.behaviour import Behaviours, Mode
from deploy.local.sandbox.messages_store import MessagesStore, Receipt, Submission
from deploy.local.sandbox.segment import BadSegmentError, segment_of
from deploy.local.sandbox.smpp_server import Session

_INTERNATIONAL = 1
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE = 0x001E, 0x0427
_IS_RECEIPT = 0x04
_WINDOW = 256
"""Receipts of one session that may be unacknowledged."""
_RECEIPT_AGAIN_S = 0.5


class Status(IntEnum):
    """Answers to `submit_sm`, SMPP 3.4 section 5.1.3."""

    INVALID_LENGTH = 0x01
    INVALID_DESTINATION = 0x0B
    THROTTLED = 0x58


class _Taken(NamedTuple):
    """A submission that is to be answered when it is on file."""

    session: Session
    sequence: int
    submission: Submission
    mode: Mode
    delay_s: float


class SmsGateway:
    """SMPP on `port` of `host`."""

    def __init__(
        self, *, store: MessagesStore, behaviours: Behaviours, host: str, port: int, receipt_delay_s: float
    ) -> None:
        self._store = store
        self._behaviours = behaviours
        self._host = host
        self._port = port
        self._receipt_delay_s = receipt_delay_s
        self._sessions: set[Session] = set()
        self._taken: list[_Taken] = []
        self._owed: dict[str, deque[Submission]] = {}
        """Receipts to send, by the `system_id` that submitted."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Session(on_bound=self._bound, on_submit=self._receive, on_ended=self._sessions.discard),
            self._host,
            self._port,
        )
        for submission in self._store.owed_receipts():
            self._owe(submission)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self._hang_up()

    def _bound(self, session: Session) -> None:
        self._sessions.add(session)
        self._send_receipts(session.system_id)

    def _hang_up(self) -> None:
        for session in list(self._sessions):
            session.hang_up()

    def _receive(self, session: Session, sequence: int, pdu: SubmitSm) -> None:
        to = f"+{pdu.destination_addr}" if pdu.dest_addr_ton == _INTERNATIONAL else pdu.destination_addr
        tlvs = {tlv.tag: tlv.value for tlv in pdu.tlvs}
        try:
            segment = segment_of(
                short_message=pdu.short_message, esm_class=pdu.esm_class, data_coding=pdu.data_coding, tlvs=tlvs
            )
        except BadSegmentError:
            session.reject(sequence, Status.INVALID_LENGTH)
            return
        rule = self._behaviours.take("sms", to, now=time.monotonic())
        mode = rule.mode if rule else Mode.ACCEPT
        if mode is Mode.REFUSE or not pdu.destination_addr.lstrip("+").isdecimal():
            session.reject(sequence, Status.INVALID_DESTINATION)
        elif mode is Mode.THROTTLE:
            session.reject(sequence, Status.THROTTLED)
        elif mode is Mode.HANG_UP:
            self._hang_up()
        else:
            out_id = tlvs.get(OUT_ID_TAG, b"").rstrip(b"\0").decode("ascii", errors="replace")
            submission = _submission(pdu, system_id=session.system_id, to=to, out_id=out_id, mode=mode)
            self._store.add_submission(submission, segment)
            delay_s = rule.seconds if rule and mode is Mode.DELAY else 0
            self._taken.append(_Taken(session, sequence, submission, mode, delay_s))
            if len(self._taken) == 1:
                self._later(self._answer())

    async def _answer(self) -> None:
        """Answer what was taken, once it is on file."""
        await asyncio.sleep(0)  # What came in the same packet goes along.
        taken, self._taken = self._taken, []
        await self._store.kept()
        loop = asyncio.get_running_loop()
        for each in taken:
            if each.mode is Mode.TAKE_AND_HANG_UP:
                self._hang_up()
            elif each.delay_s:
                loop.call_later(each.delay_s, each.session.accept, each.sequence, each.submission.id)
            else:
                each.session.accept(each.sequence, each.submission.id)
            if each.submission.receipt is Receipt.PENDING:
                loop.call_later(each.delay_s + self._receipt_delay_s, self._owe, each.submission)

    def _owe(self, submission: Submission) -> None:
        self._owed.setdefault(submission.system_id, deque()).append(submission)
        self._send_receipts(submission.system_id)

    def _send_receipts(self, system_id: str) -> None:
        """Hand receipts to a session of their sender, as many as there is room for; the others wait for one to bind."""
        owed = self._owed.get(system_id, deque())
        for session in self._sessions:
            while owed and session.system_id == system_id and session.can_receive and session.unanswered < _WINDOW:
                self._deliver(session, owed.popleft())

    def _deliver(self, session: Session, submission: Submission) -> None:
        def answered(taken: bool) -> None:  # noqa: FBT001 - the one thing that is told
            if taken:
                failed = submission.undeliverable
                self._store.set_receipt(submission.id, Receipt.FAILED if failed else Receipt.DELIVERED)
                self._store.keep()
                self._send_receipts(submission.system_id)
            else:
                asyncio.get_running_loop().call_later(_RECEIPT_AGAIN_S, self._owe, submission)

        session.deliver(lambda sequence: _receipt(submission, sequence), answered)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _submission(pdu: SubmitSm, *, system_id: str, to: str, out_id: str, mode: Mode) -> Submission:
    if not pdu.registered_delivery & 1:
        receipt = Receipt.NONE
    else:
        receipt = Receipt.DROPPED if mode is Mode.DROP_RECEIPTS else Receipt.PENDING
    return Submission(
        id=uuid4().hex,
        system_id=system_id,
        source=pdu.source_addr,
        destination=pdu.destination_addr,
        to=to,
        data_coding=pdu.data_coding,
        out_id=out_id,
        receipt=receipt,
        undeliverable=mode is Mode.UNDELIVERABLE,
        submitted_at=time.time(),
    )


def _receipt(submission: Submission, sequence: int) -> DeliverSm:
    failed = submission.undeliverable
    state, code = ("UNDELIV", 5) if failed else ("DELIVRD", 2)
    submitted, done = datetime.fromtimestamp(submission.submitted_at, UTC), datetime.now(UTC)
    text = (
        f"id:{submission.id} sub:001 dlvrd:{'000' if failed else '001'} submit date:{submitted:%y%m%d%H%M} "
        f"done date:{done:%y%m%d%H%M} stat:{state} err:{'001' if failed else '000'} text:"
    )
    return DeliverSm(
        submission.destination,
        submission.source,
        text.encode("ascii"),
        esm_class=_IS_RECEIPT,
        tlvs=[
            Tlv(_RECEIPTED_MESSAGE_ID, submission.id.encode() + b"\0"),
            Tlv(_MESSAGE_STATE, bytes([code])),
        ],
        sequence_number=sequence,
    )
