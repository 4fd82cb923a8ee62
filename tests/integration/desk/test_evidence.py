"""Files that the intake keeps, read at the desk."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from services.desk.evidence_store import About, EvidenceStore
from services.intake.evidence_store import Evidence, GridFsEvidenceStore
from services.runtime import mongo
from services.runtime.sealing import Keyring

pytestmark = pytest.mark.integration
PHOTO = b"\x89PNG" + b"door" * 100_000
ONE, OTHER = UUID(int=1), UUID(int=2)


async def test_what_the_intake_keeps_is_opened_at_the_desk(mongo_url: str, database_name: str, tmp_path: Path) -> None:
    """Type and size are known without opening it; what is not there, or whose key is gone, is not shown."""
    database = mongo.connect(mongo_url, database=database_name)
    keyring = Keyring.create(tmp_path / "keyring.json")
    kept = GridFsEvidenceStore(database, keyring, timeout_s=10)
    await kept.put(Evidence(ONE, "image/png", PHOTO, datetime(2026, 11, 23, tzinfo=UTC)))
    store = EvidenceStore(database, keyring)
    assert await store.about([ONE, OTHER]) == {ONE: About("image/png", len(PHOTO))}
    assert await store.about([]) == {}
    assert await store.read(ONE) == ("image/png", PHOTO)
    assert await store.read(OTHER) is None
    assert await EvidenceStore(database, Keyring.create(tmp_path / "another.json")).read(ONE) is None
