from datetime import UTC, datetime

import pytest

from schemas.codec import encode
from schemas.codes import Channel, Language, Source
from schemas.complaint import ComplaintSubmitted, Wording
from schemas.sealed import ContactIndex, MaskedContact
from services.runtime.sealing import Keyring
from tests.peers.job import Case, Reader
from tests.peers.programs.storing import store
from tests.simulation.database import Store


@pytest.fixture
def reading(tmp_path):
    keyring = Keyring.create(tmp_path / "keyring.json")
    reader = Reader(tmp_path / "keyring.json")

    def read(name: str) -> Case:
        complaint_id, now = keyring.complaint_id("web", name), datetime(2026, 11, 2, 3, tzinfo=UTC)
        text = "快件显示已经签收，可是我根本没有收到，门卫和邻居都没有见过。"
        message = encode(
            ComplaintSubmitted(
                routing_key=str(complaint_id),
                complaint_id=complaint_id,
                channel=Channel.WEB,
                source=Source.EXTERNAL,
                language=Language.ZH,
                received_at=now,
                submitted_at=now,
                contact=None,
                masked=MaskedContact(),
                contact_index=ContactIndex(),
                wording=keyring.seal(Wording(description=text).seal_bytes(), about=complaint_id),
                text_fingerprint=keyring.fingerprint(text),
                waybills=("YT0000000000001",),
            )
        )
        return reader.read(message.value, message.headers)

    return read


async def test_a_peer_opens_a_ticket_and_writes_a_repeat_into_it(reading):
    """The job that peers are given leaves what Amends leaves: one ticket, its events, and the repeat among them."""
    kept = Store()
    await kept.database()["numbers"].insert_one({"_id": "2611", "last": 0})
    opened = await store(kept.database(), reading("first"))
    followed = await store(kept.database(), reading("second"))
    again = await store(kept.database(), reading("first"))
    assert [e.TYPE for e in opened] == ["amends.ticket.opened", "amends.ticket.classified", "amends.ticket.assigned"]
    assert followed[0].TYPE == "amends.ticket.followed_up"
    assert again == []
    (ticket,) = kept.snapshot()["tickets"]
    assert (ticket["repeats"], ticket["version"]) == (1, len(opened) + len(followed))
    assert kept.count("ticket_events") == ticket["version"]
    assert kept.count("complaints") == 2
