"""What customers received and which receipts are still owed, in one SQLite file that survives a killed sandbox."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, Field

from deploy.local.sandbox.segment import Segment, decoded

Channel = Literal["sms", "email"]


class Receipt(StrEnum):
    """What the sender was told about a message's delivery."""

    NONE = "none"  # nobody asked; e-mail has none
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


class Message(BaseModel):
    """One message that a gateway took; in a customer's hand, unless its receipt is `failed`.

    `parts` counts the segments it came in; `out_id` is the sender's own id; `receipt` of several segments is that of
    the worst.
    """

    id: str
    channel: Channel
    to: str
    sender: str = Field(alias="from")
    text: str
    subject: str = ""
    parts: int = 1
    out_id: str = ""
    received_at: datetime
    receipt: Receipt = Receipt.NONE


class Submission(BaseModel):
    """One accepted `submit_sm`."""

    id: str
    system_id: str
    source: str
    destination: str
    to: str
    data_coding: int
    out_id: str
    receipt: Receipt
    undeliverable: bool = False
    submitted_at: float


_SCHEMA = """
create table if not exists messages (
    seq integer primary key, id text unique, channel text, recipient text, sender text, text text, subject text,
    parts integer, out_id text, received_at real
);
create index if not exists by_out_id on messages (out_id);
create table if not exists submissions (
    id text primary key, system_id text, source text, destination text, recipient text, data_coding integer,
    out_id text, receipt text, undeliverable integer, submitted_at real,
    reference integer, total integer, number integer, body blob, message_id text
);
create index if not exists by_message on submissions (message_id);
create index if not exists owed on submissions (receipt) where receipt = 'pending';
create index if not exists waiting on submissions (recipient, reference) where message_id is null;
"""

# The kernel keeps what a killed process has written, so nothing waits for the disk.
_PRAGMAS = "pragma journal_mode = wal; pragma synchronous = off;"


# How long writes wait for company in one transaction.
_GATHERED_S = 0.002


class MessagesStore:
    """The sandbox's memory. One thread, one process.

    What is added is on file when `kept` returns; only then may a sender be told that it was taken.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level="IMMEDIATE")
        self._db.row_factory = sqlite3.Row
        self._db.executescript(_PRAGMAS + _SCHEMA)
        self._committing: asyncio.Task[None] | None = None

    async def kept(self) -> None:
        """Return when everything added so far is on file."""
        await asyncio.shield(self.keep())

    def keep(self) -> asyncio.Task[None]:
        """Put everything added so far on file soon."""
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_soon())
        return self._committing

    def add_email(self, *, to: str, sender: str, subject: str, text: str, out_id: str) -> None:
        """Add a mail for one recipient."""
        self._add(uuid4().hex, "email", to, sender, text, subject, 1, out_id)

    def add_submission(self, submission: Submission, segment: Segment) -> None:
        """Add a segment, and the message with it once all segments of the text are there."""
        alone = segment.total == 1
        self._db.execute(
            "insert into submissions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                submission.id, submission.system_id, submission.source, submission.destination, submission.to,
                submission.data_coding, submission.out_id, submission.receipt, submission.undeliverable,
                submission.submitted_at, segment.reference, segment.total, segment.number, segment.body,
                submission.id if alone else None,
            ),
        )  # fmt: skip
        bodies = {1: (submission.id, segment.body)} if alone else self._waiting(submission, segment)
        if len(bodies) < segment.total:
            return
        text = decoded(b"".join(body for _, (_, body) in sorted(bodies.items())), submission.data_coding)
        self._add(submission.id, "sms", submission.to, submission.source, text, "", segment.total, submission.out_id)
        if not alone:
            self._db.executemany(
                "update submissions set message_id = ? where id = ?",
                [(submission.id, part) for part, _ in bodies.values()],
            )

    def set_receipt(self, submission_id: str, receipt: Receipt) -> None:
        """Note what the sender has been told."""
        self._db.execute("update submissions set receipt = ? where id = ?", (receipt, submission_id))

    def owed_receipts(self) -> Iterator[Submission]:
        """Receipts that an earlier run of the sandbox had not handed over."""
        for row in self._db.execute(
            "select *, recipient as 'to' from submissions where receipt = 'pending'"
        ).fetchall():
            yield Submission.model_validate(dict(row))

    def messages(
        self, *, to: str = "", channel: str = "", out_id: str = "", offset: int = 0, limit: int = 100_000
    ) -> list[Message]:
        """What was received, oldest first. A number matches with and without its country code."""
        wanted = to.strip().lstrip("+").lower()
        rows = self._db.execute(
            """
            select m.id, channel, m.recipient as "to", sender as "from", text, subject, parts, m.out_id, received_at,
                (select case
                    when sum(receipt = 'failed') then 'failed' when sum(receipt = 'pending') then 'pending'
                    when sum(receipt = 'dropped') then 'dropped' when sum(receipt = 'delivered') then 'delivered'
                    else 'none' end
                 from submissions s where s.message_id = m.id) as receipt
            from messages m
            where (:channel = '' or channel = :channel) and (:out_id = '' or m.out_id = :out_id)
                and (:to = '' or lower(ltrim(m.recipient, '+')) = :to or (channel = 'sms' and length(:to) >= 7
                    and ltrim(m.recipient, '+') in ('86' || :to, substr(:to, 3))))
            order by seq limit :limit offset :offset
            """,
            {"channel": channel, "out_id": out_id, "to": wanted, "limit": limit, "offset": offset},
        )
        return [Message.model_validate(_timed(row)) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many messages were received by channel."""
        counted = dict(self._db.execute("select channel, count(*) from messages group by channel").fetchall())
        return {"sms": 0, "email": 0} | counted

    def clear(self) -> None:
        """Forget all messages and all owed receipts."""
        self._db.execute("delete from messages")
        self._db.execute("delete from submissions")
        self._db.commit()

    def close(self) -> None:
        """Put everything on file and close it."""
        self._db.commit()
        self._db.close()

    async def _commit_soon(self) -> None:
        await asyncio.sleep(_GATHERED_S)
        self._committing = None
        self._db.commit()

    def _add(self, *row: str | int) -> None:
        """Id, channel, recipient, sender, text, subject, parts, out id."""
        self._db.execute("insert into messages values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, time.time()))

    def _waiting(self, submission: Submission, segment: Segment) -> dict[int, tuple[str, bytes]]:
        """Segments of this text that have come, by number; a segment that came twice counts once, the later one."""
        rows = self._db.execute(
            """
            select number, id, body from submissions
            where recipient = ? and reference = ? and message_id is null and source = ? and total = ? and out_id = ?
            order by rowid
            """,
            (submission.to, segment.reference, submission.source, segment.total, submission.out_id),
        )
        return {row["number"]: (row["id"], row["body"]) for row in rows}


def _timed(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "received_at": datetime.fromtimestamp(row["received_at"], UTC)}
