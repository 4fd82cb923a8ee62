"""Files that the intake keeps, read at the desk."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from services.desk.evidence_store import About, EvidenceStore
from services.intake.evidence_store import Evidence, GridFsEvidenceStore
from services.portal.upload_store import MongoUploadStore
from services.runtime import mongo
from services.runtime.sealing import Keyring

pytestmark = pytest.mark.integration
PHOTO = b"\x89PNG" + b"door" * 100_000
AT = datetime(2026, 11, 23, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)


async def test_what_the_intake_keeps_is_opened_at_the_desk(mongo_url: str, database_name: str, tmp_path: Path) -> None:
    """Type and size are known without opening it; what is not there, or whose key is gone, is not shown."""
    database = mongo.connect(mongo_url, database=database_name)
    keyring = Keyring.create(tmp_path / "keyring.json")
    kept = GridFsEvidenceStore(database, keyring, timeout_s=10)
    await kept.put(Evidence(ONE, "image/png", PHOTO, AT))
    store = EvidenceStore(database, keyring)
    assert await store.about([ONE, OTHER], of=[]) == {ONE: About("image/png", len(PHOTO))}
    assert await store.about([], of=[]) == {}
    assert await store.read(ONE) == ("image/png", PHOTO)
    assert await store.read(OTHER) is None
    assert await EvidenceStore(database, Keyring.create(tmp_path / "another.json")).read(ONE) is None


async def test_a_file_is_of_whoever_names_it_first(mongo_url: str, database_name: str, tmp_path: Path) -> None:
    """A ticket takes what is its own, its complaints', or nobody's; never what is another's or is not there."""
    database = mongo.connect(mongo_url, database=database_name)
    keyring = Keyring.create(tmp_path / "keyring.json")
    intake, desk = GridFsEvidenceStore(database, keyring, timeout_s=10), EvidenceStore(database, keyring)
    portal = MongoUploadStore(database, timeout_s=10, now=lambda: AT)
    of_complaint, of_ticket, free, absent = (UUID(int=number) for number in range(1, 5))
    ticket, complaint, another = UUID(int=10), UUID(int=11), UUID(int=12)
    for file in (of_complaint, of_ticket, free):
        await intake.put(Evidence(file, "image/png", PHOTO, AT))
    await intake.claim([of_complaint], of=complaint)
    await intake.claim([of_complaint], of=another)
    await portal.claim([of_ticket, of_complaint], of=ticket)
    files = [of_complaint, of_ticket, absent]
    assert await desk.claim(files, ticket=another, complaints=[]) == set(files)
    assert await desk.claim([*files, free], ticket=ticket, complaints=[complaint]) == {absent}
    assert await desk.claim([free], ticket=another, complaints=[]) == {free}
    assert await intake.missing([*files, free]) == {absent}
    assert set(await desk.about([*files, free], of=[another])) == set()
    assert set(await desk.about([*files, free], of=[complaint])) == {of_complaint}
    assert set(await desk.about([*files, free], of=[ticket, complaint])) == {of_complaint, of_ticket, free}
