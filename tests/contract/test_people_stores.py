"""What the desk relies on, of its stores for people: the same on the simulated and on the real database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from schemas.codes import Language, StaffRole
from services.desk import audit
from services.desk.account_store import AccountStore
from services.desk.accounts import Account, Membership, Provider
from services.desk.attempt_store import AttemptLimits, AttemptStore
from services.desk.audit import Sought
from services.desk.audit_store import AuditStore
from services.desk.erasing import Erasure, ErasureState
from services.desk.erasure_store import ErasureStore
from services.desk.membership_store import MembershipStore
from services.desk.session import Session
from services.desk.session_store import SessionStore
from services.desk.sign_in_store import Pending, SignInStore
from services.runtime.mongo import Database

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLERK = Account(name="clerk", shown_as="柜台", role=StaffRole.AGENT, password="$hash", changed_at=NOON)


async def test_an_account_comes_back_as_it_was(database: Database) -> None:
    """And its name is given once."""
    store = AccountStore(database)
    full = replace(CLERK, departments=("a",), units=("B",), provider=Provider.OIDC, subject="s", disabled=True)
    assert await store.add(full)
    assert not await store.add(CLERK)
    assert await store.get("clerk") == full
    assert await store.get("nobody") is None
    assert await store.change(CLERK, was=full)
    assert not await store.change(replace(CLERK, name="nobody", subject="t"), was=CLERK)
    assert await store.all() == [CLERK]


async def test_two_changes_at_once_both_hold(database: Database) -> None:
    """Who chooses a language while an administrator shuts the account does not open it again."""
    store = AccountStore(database)
    await store.add(CLERK)
    assert await store.change(replace(CLERK, disabled=True), was=CLERK)
    assert await store.change(replace(CLERK, language=Language.EN), was=CLERK)
    assert await store.get("clerk") == replace(CLERK, disabled=True, language=Language.EN)


async def test_a_newer_hash_never_undoes_a_newer_password(database: Database) -> None:
    """It is kept only in the place of the hash that was checked."""
    store = AccountStore(database)
    await store.add(CLERK)
    await store.rehash("clerk", old="$older", new="$new")
    assert await store.get("clerk") == CLERK
    await store.rehash("clerk", old="$hash", new="$new")
    assert await store.get("clerk") == replace(CLERK, password="$new")


async def test_sessions_are_ended_alone_or_together(database: Database) -> None:
    """Those of others go on; what was ended is not brought back by being seen."""
    store = SessionStore(database)
    await store.create_indexes()
    made = [
        Session(digest=d, account=a, made_at=NOON, seen_at=NOON, ends_at=NOON + timedelta(hours=1), address="x")
        for d, a in (("1", "clerk"), ("2", "clerk"), ("3", "clerk"), ("4", "other"))
    ]
    for session in made:
        await store.begin(session)
    assert await store.get("1") == made[0]
    await store.seen("1", NOON + timedelta(minutes=1))
    assert await store.get("1") == replace(made[0], seen_at=NOON + timedelta(minutes=1))
    await store.end("1")
    await store.seen("1", NOON)
    assert await store.get("1") is None
    assert await store.end_all("clerk", but="3") == 1
    assert await store.of("clerk") == [made[2]]
    assert await store.of("other") == [made[3]]


async def test_tries_are_counted_though_they_come_at_once(database: Database) -> None:
    """Never more than the limit, of an account and of an address; a window later they are new."""
    store = AttemptStore(database, AttemptLimits(of_account=3, of_address=8, window=timedelta(minutes=15)))
    await store.create_indexes()
    now = NOON + timedelta(minutes=1)
    waits = await asyncio.gather(*(store.count(account="a", address="x", now=now) for _ in range(6)))
    assert waits.count(0) == 3
    assert set(waits) == {0, 840}
    assert await store.count(account="b", address="x", now=now) == 0
    assert await store.count(account="c", address="x", now=now) == 0
    assert await store.count(account="d", address="x", now=now) == 840
    await store.forgive(account="a", now=now)
    assert await store.count(account="a", address="y", now=now) == 0
    assert await store.count(account="d", address="x", now=now + timedelta(minutes=14)) == 0


async def test_a_sign_in_is_taken_once(database: Database) -> None:
    """By whoever asks first, before its time is over."""
    store = SignInStore(database)
    await store.create_indexes()
    pending = Pending(state="s", nonce="n", verifier="v", next="/", ends_at=NOON)
    await store.begin(pending)
    early = NOON - timedelta(seconds=1)
    taken = await asyncio.gather(*(store.take("s", now=early) for _ in range(5)))
    assert [one for one in taken if one] == [pending]
    await store.begin(pending)
    assert await store.take("s", now=NOON) is None


async def test_the_audit_is_found_by_who_what_and_when(database: Database) -> None:
    """The latest first, a page at a time."""
    store = AuditStore(database)
    await store.create_indexes()
    entries = [
        audit.entry(
            f"act-{n % 2}",
            at=NOON + timedelta(seconds=n),
            by=None,
            ticket=f"t{n % 3}",
            fields=("a", "b"),
            reason="why",
            address="203.0.113.7",
        )
        for n in range(9)
    ]
    await store.add(*entries)
    await store.add()
    latest = entries[::-1]
    assert await store.page(Sought()) == latest
    assert await store.page(Sought(), count_max=4) == latest[:4]
    assert await store.page(Sought(before=latest[3].id), count_max=4) == latest[4:8]
    assert await store.page(Sought(action="act-0", ticket="t0")) == [entries[6], entries[0]]
    between = Sought(since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=5))
    assert await store.page(between) == entries[4:1:-1]
    assert await store.page(Sought(who="nobody")) == []


async def test_people_belong_where_the_newest_directory_says(database: Database) -> None:
    """A new version is followed within two seconds; managers belong to what they manage."""
    now = 0.0
    store = MembershipStore(database, now=lambda: now)
    assert await store.of("a") == Membership()
    await database["directory"].insert_one(
        {
            "_id": 1,
            "departments": [{"code": "claims", "manager": "lead"}],
            "units": [{"code": "NET-1", "manager": "lead"}],
            "people": [{"id": "a", "department": "claims", "unit": None}],
        }
    )
    assert await store.of("a") == Membership()
    now = 2.0
    assert await store.of("a") == Membership(("claims",))
    assert await store.of("lead") == Membership(("claims",), ("NET-1",))
    await database["directory"].insert_one({"_id": 2, "people": [{"id": "a", "department": "it", "unit": "HUB-1"}]})
    now = 4.0
    assert await store.of("a") == Membership(("it",), ("HUB-1",))
    assert await store.of("lead") == Membership()


async def test_an_erasure_forgets_whom_it_was_about(database: Database) -> None:
    """When it is done; until then the same is asked for once."""
    store = ErasureStore(database)
    await store.create_indexes()
    asked = Erasure(id=uuid4(), asked_at=NOON, asked_by="m", reason="r", digests=("d1", "d2"))
    assert await store.ask(asked) == asked
    assert await store.ask(replace(asked, id=uuid4(), digests=("d2", "d1"))) == asked
    await store.count(asked.id, complaints=1, files=2)
    await store.finish(asked.id, at=NOON)
    await store.finish(asked.id, at=NOON + timedelta(hours=1))
    done = await store.get(asked.id)
    assert done == replace(asked, digests=(), reason="", state=ErasureState.DONE, complaints=1, files=2, done_at=NOON)
    assert await store.waiting() == []
    assert await store.get(uuid4()) is None
