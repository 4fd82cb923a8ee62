"""What callers of the intake see."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from schemas.complaint import Contact, Wording
from services.intake.gate import FEW
from services.intake.progress import Progress
from services.runtime.sealing import Keyring

Running = Any  # of conftest.py
MakeRunning = Callable[..., Running]
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {"channel": "web", "complainant": {"phone": "13800138000"}, "description": "快递太慢了"}


async def post(client: httpx.AsyncClient, content: Any = None, **headers: str) -> httpx.Response:
    """Submit one complaint."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/complaints", json=content or GOOD, headers=sent)


async def test_a_complaint_is_accepted_once_the_broker_has_it(client: httpx.AsyncClient, running: Running) -> None:
    """202 names the complaint and where its progress is told."""
    answer = await post(client)
    assert answer.status_code == 202
    told = answer.json()
    assert told["status"] == "accepted"
    assert answer.headers["location"] == told["links"]["self"] == f"/v1/complaints/{told['complaint_id']}"
    assert [str(m.complaint_id) for m in running.broker.published] == [told["complaint_id"]]


async def test_what_leaves_the_process_is_sealed(client: httpx.AsyncClient, running: Running, keyring: Keyring) -> None:
    """Contact and wording open with the keyring alone; the rest of the message does not tell them."""
    content = {**GOOD, "complainant": {"name": "李雷", "phone": "13800138000", "email": "lilei@example.com"}}
    await post(client, {**content, "remedy": "赔钱"})
    (message,) = running.broker.published
    wire = message.model_dump_json()
    for personal in ("李雷", "8001", "lilei", "太慢", "赔钱"):
        assert personal not in wire
    assert message.contact is not None
    contact = Contact.from_seal_bytes(keyring.open(message.contact, about=message.complaint_id))
    wording = Wording.from_seal_bytes(keyring.open(message.wording, about=message.complaint_id))
    assert (contact.name, contact.phone) == ("李雷", "+8613800138000")
    assert (wording.description, wording.remedy) == ("快递太慢了", "赔钱")
    assert (message.masked.phone, message.masked.email) == ("138****8000", "l***@example.com")


async def test_complaints_about_one_parcel_or_of_one_person_share_a_routing_key(
    client: httpx.AsyncClient, running: Running
) -> None:
    """The parcel counts first, then the person; an anonymous one stands alone."""
    await post(client, {**GOOD, "waybills": ["YT1234567"]})
    await post(client, {**GOOD, "complainant": {"phone": "+8613900139000"}, "waybills": ["yt1234567"]})
    await post(client)
    await post(client, {**GOOD, "description": "Again", "complainant": {"phone": "138-0013-8000"}})
    await post(client, {"source": "internal", "description": "网点乱收费"})
    keys = [m.routing_key for m in running.broker.published]
    assert keys[0] == keys[1] == "w:YT1234567"
    assert keys[2] == keys[3]
    assert keys[2].startswith("c:")
    assert keys[4] == f"i:{running.broker.published[4].complaint_id}"
    assert running.broker.published[4].contact is None


async def test_a_refusal_tells_every_error_in_the_language_asked_for(client: httpx.AsyncClient) -> None:
    """RFC 9457, with field, value, what is wrong and what to do."""
    bad = {"channel": "fax", "complainant": {"phone": "1"}, "description": ""}
    in_chinese = await post(client, bad, accept_language="fr, zh-CN;q=0.9, en;q=0.5")
    in_english = await post(client, bad, accept_language="en-GB")
    assert in_chinese.status_code == in_english.status_code == 422
    assert in_chinese.headers["content-type"] == "application/problem+json"
    assert in_chinese.headers["content-language"] == "zh"
    told = in_english.json()
    assert told["type"] == "urn:amends:problem:invalid-complaint"
    assert told["status"] == 422
    assert {e["field"] for e in told["errors"]} == {"channel", "complainant.phone", "description"}
    phone = next(e for e in told["errors"] if e["field"] == "complainant.phone")
    assert phone["value"] == "1"
    assert phone["problem"] == "This is not a valid phone number in CN."
    assert "号码" in next(e for e in in_chinese.json()["errors"] if e["field"] == "complainant.phone")["todo"]


async def test_what_is_refused_is_kept_sealed_with_its_reasons(
    client: httpx.AsyncClient, running: Running, keyring: Keyring
) -> None:
    """Reasons carry field and code, never the value."""
    await post(client, {"description": "x", "complainant": {"phone": "13800138"}})
    (kept,) = running.rejected.kept
    assert kept.reasons == (("complainant.phone", "phone_invalid"),)
    assert b"13800138" in keyring.open(kept.body, about=kept.rejected_id)


async def test_the_same_key_and_content_give_the_same_answer(client: httpx.AsyncClient, running: Running) -> None:
    """However often it is sent, one complaint is published."""
    first = await post(client, idempotency_key="a-1")
    again = await client.post(
        "/v1/complaints",
        content=b'{"description": "\\u5feb\\u9012\\u592a\\u6162\\u4e86",\n "complainant": {"phone": "13800138000"},'
        b'"channel": "web"}',
        headers={"Content-Type": "application/json", "Idempotency-Key": '"a-1"'},
    )
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(running.broker.published) == 1


async def test_the_same_key_with_other_content_is_refused(client: httpx.AsyncClient, running: Running) -> None:
    """Also when the fast path has forgotten everything."""
    await post(client, idempotency_key="a-1")
    other = {**GOOD, "description": "something else"}
    assert (await post(client, other, idempotency_key="a-1")).status_code == 422
    running.published.forget()
    refused = await post(client, other, idempotency_key="a-1")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert len(running.broker.published) == 1


async def test_a_retry_publishes_again_when_nobody_remembers_that_it_was_published(
    client: httpx.AsyncClient, running: Running
) -> None:
    """After a crash between claim and publish it must; after a flush it may: the message is the same to its readers."""
    running.broker.is_away = True
    assert (await post(client, idempotency_key="a-1")).status_code == 503
    running.broker.is_away = False
    first = await post(client, idempotency_key="a-1")
    running.published.forget()
    second = await post(client, idempotency_key="a-1")
    assert first.json() == second.json()
    one, two = running.broker.published
    assert (one.complaint_id, one.submitted_at, one.received_at) == (
        two.complaint_id,
        two.submitted_at,
        two.received_at,
    )


async def test_racing_requests_with_one_key_become_one_complaint(client: httpx.AsyncClient, running: Running) -> None:
    """Both get the same answer; of two contents one wins and the other is refused."""
    same = await asyncio.gather(*(post(client, idempotency_key="same") for _ in range(20)))
    assert {a.status_code for a in same} == {202}
    assert len({a.json()["complaint_id"] for a in same}) == 1
    contents = [{**GOOD, "description": f"number {n}"} for n in range(20)]
    different = await asyncio.gather(*(post(client, content, idempotency_key="other") for content in contents))
    assert sorted(a.status_code for a in different) == [202] + [422] * 19
    assert len({m.complaint_id for m in running.broker.published}) == 2


async def test_one_key_in_two_channels_is_two_complaints(client: httpx.AsyncClient) -> None:
    """A key belongs to its channel."""
    one = await post(client, idempotency_key="7")
    two = await post(client, {**GOOD, "channel": "phone"}, idempotency_key="7")
    assert one.json()["complaint_id"] != two.json()["complaint_id"]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "schlüssel"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    """1 to 255 printable ASCII characters."""
    answer = await client.post("/v1/complaints", json=GOOD, headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "idempotency_key_invalid"


async def test_without_a_key_every_request_is_a_complaint_of_its_own(
    client: httpx.AsyncClient, running: Running
) -> None:
    """And nothing is written to the database for it."""
    one, two = await post(client), await post(client)
    assert one.json()["complaint_id"] != two.json()["complaint_id"]
    assert not running.idempotency._claims


async def test_a_broker_that_is_away_is_answered_503_with_a_time_to_come_back(
    client: httpx.AsyncClient, running: Running
) -> None:
    """Nothing was promised."""
    running.broker.is_away = True
    answer = await post(client)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["type"] == "urn:amends:problem:unavailable"
    assert running.registry.get_sample_value("amends_intake_unavailable_total") == 1


async def test_evidence_must_have_been_uploaded(client: httpx.AsyncClient) -> None:
    """Told together with everything else that is wrong."""
    unknown = str(uuid4())
    answer = await post(client, {**GOOD, "channel": "fax", "evidence": [unknown]})
    assert {(e["field"], e["value"]) for e in answer.json()["errors"]} == {("channel", "fax"), ("evidence.0", unknown)}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=gb18030"}, 415),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        (b"\xff", {"Content-Type": "application/json"}, 400),
        (b"", {"Content-Type": "application/json"}, 400),
        (b'{"a":' * 9_000, {"Content-Type": "application/json"}, 400),
        (b"{}" + b" " * 300_000, {"Content-Type": "application/json"}, 413),
        (json.dumps({**GOOD, "\ud800": 1}).encode(), {"Content-Type": "application/json"}, 202),
        (json.dumps({**GOOD, "product": "\ud800"}).encode(), {"Content-Type": "application/json"}, 422),
        (json.dumps({**GOOD, "complainant": {"phone": 10**4000}}).encode(), {"Content-Type": "application/json"}, 422),
        (json.dumps({**GOOD, "insured": 1e400}).encode(), {"Content-Type": "application/json"}, 400),
        (b'{"description":1e400,"complainant":{"phone":1e999}}', {"Content-Type": "application/json"}, 422),
    ],
)
async def test_hostile_bodies_get_a_clear_answer(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    """4xx with problem details, never 500."""
    answer = await client.post("/v1/complaints", content=content, headers=headers)
    assert answer.status_code == status
    if status != 202:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_is_not_read_beyond_its_limit(client: httpx.AsyncClient) -> None:
    """A client that streams for ever is stopped when the limit is reached."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65_536
            yield b" " * 65_536

    answer = await client.post("/v1/complaints", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert sent < 1_000_000


async def test_more_requests_than_can_be_held_are_turned_away_at_once(make_running: MakeRunning) -> None:
    """503 with `Retry-After`; the others are answered."""
    running = make_running(requests_in_flight_max=5)
    async with running.client() as client:
        answers = await asyncio.gather(*(post(client) for _ in range(20)))
    statuses = [a.status_code for a in answers]
    assert set(statuses) == {202, 503}
    assert statuses.count(202) >= 5
    assert all("retry-after" in a.headers for a in answers if a.status_code == 503)


async def test_while_accepting_is_slow_only_few_are_let_in(make_running: MakeRunning) -> None:
    """Whoever would wait too long is told at once to come back, and those let in show when it is fast again."""
    running = make_running(accept_s_max=1e-6)
    async with running.client() as client:
        assert (await post(client)).status_code == 202
        answers = await asyncio.gather(*(post(client) for _ in range(3 * FEW)))
        assert (await post(client)).status_code == 202
    statuses = [a.status_code for a in answers]
    assert statuses.count(202) == FEW
    assert statuses.count(503) == 2 * FEW


async def test_more_bytes_than_can_be_held_are_turned_away_before_they_are_read(make_running: MakeRunning) -> None:
    """What a request announces is reserved first."""
    running = make_running(bytes_in_flight_max=1_048_576, evidence_bytes_max=2_000_000)
    async with running.client() as client:
        answer = await client.post("/v1/evidence", content=b"x" * 1_500_000)
    assert answer.status_code == 503


async def test_a_client_that_asks_too_often_is_told_when_to_come_back(make_running: MakeRunning) -> None:
    """In memory when there is no Redis."""
    running = make_running(rate_limit="3/minute")
    async with running.client() as client:
        answers = [await post(client) for _ in range(5)]
    assert [a.status_code for a in answers] == [202, 202, 202, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


async def test_a_closing_intake_finishes_what_it_began(running: Running, client: httpx.AsyncClient) -> None:
    """New requests are turned away."""
    await running.traffic.close(seconds_max=1)
    assert (await post(client)).status_code == 503


async def test_progress_is_told_from_acceptance_on(client: httpx.AsyncClient, running: Running) -> None:
    """First that it is being registered, then number, state and what happens next."""
    here = (await post(client)).json()["links"]["self"]
    before = await client.get(here, headers={"Accept-Language": "zh"})
    assert (before.status_code, before.json()["status"], before.json()["ticket_number"]) == (200, "accepted", None)
    complaint_id = UUID(here.rsplit("/", 1)[1])
    running.progress.known[complaint_id] = Progress(complaint_id, uuid4(), "2611-004217-6", "in_review")
    after = (await client.get(here)).json()
    assert (after["status"], after["ticket_number"]) == ("in_review", "2611-004217-6")
    assert "2611-004217-6" in after["next"]
    running.progress.known[complaint_id] = Progress(complaint_id, uuid4(), "2611-004217-6", "opened", followed_up=True)
    assert (await client.get(here)).json()["status"] == "followed_up"


async def test_a_caller_can_wait_for_the_ticket_number(client: httpx.AsyncClient, running: Running) -> None:
    """`Prefer: wait` answers as soon as it is known."""
    here = (await post(client)).json()["links"]["self"]
    complaint_id = UUID(here.rsplit("/", 1)[1])
    waiting = asyncio.create_task(client.get(here, headers={"Prefer": "respond-async, wait=10"}))
    while not running.traffic.in_flight:  # noqa: ASYNC110  # the condition is what is waited for
        await asyncio.sleep(0)
    running.progress.known[complaint_id] = Progress(complaint_id, uuid4(), "2611-000001-3", "opened")
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.json()["ticket_number"] == "2611-000001-3"
    assert answer.headers["preference-applied"] == "wait=10"


async def test_waiting_ends_with_what_is_known(client: httpx.AsyncClient) -> None:
    """When the time is over and there is no ticket yet."""
    here = (await post(client)).json()["links"]["self"]
    answer = await client.get(here, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")


@pytest.mark.parametrize(("complaint_id", "status"), [(str(uuid4()), 404), ("x", 400), ("%00", 400)])
async def test_ids_that_were_never_given_out_are_not_found(
    client: httpx.AsyncClient, complaint_id: str, status: int
) -> None:
    """With problem details."""
    answer = await client.get(f"/v1/complaints/{complaint_id}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_callers_trace_goes_on(client: httpx.AsyncClient, running: Running) -> None:
    """And one that is malformed is left out."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    published: list[str | None] = []
    publish = running.broker.publish

    async def watched(messages: Any) -> None:
        published.extend(one.traceparent for one in messages)
        await publish(messages)

    running.broker.publish = watched  # type: ignore[method-assign]
    await post(client, traceparent=trace)
    await post(client, traceparent="00-zz")
    assert published == [trace, None]


async def test_the_description_of_the_api_is_complete(client: httpx.AsyncClient) -> None:
    """Every route with its answers, and every reference in it resolves."""
    described = (await client.get("/openapi.json")).json()
    assert set(described["paths"]) >= {
        "/v1/complaints",
        "/v1/complaints/batch",
        "/v1/complaints/{complaint_id}",
        "/v1/evidence",
    }
    text = json.dumps(described)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in described["components"]["schemas"]


async def test_times_default_to_the_moment_of_acceptance(client: httpx.AsyncClient, running: Running) -> None:
    """`received_at` is when the network got it, where the caller does not say."""
    await post(client)
    await post(client, {**GOOD, "received_at": "2026-11-21T10:00:00+08:00"})
    first, second = running.broker.published
    assert first.received_at == first.submitted_at == NOW
    assert second.received_at < second.submitted_at == NOW
