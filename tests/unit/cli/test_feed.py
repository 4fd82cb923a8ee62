"""`amends feed` makes complaints of lines."""

from pathlib import Path

from services.cli.feed import Contacts, complaint_of, read


def test_feeding_a_file_gives_each_complainant_a_phone_of_their_own(tmp_path: Path) -> None:
    """Distinct, valid, and the same when the file is fed again."""
    file = tmp_path / "feed.jsonl"
    file.write_text("\n".join('{"text":"late","lang":"en"}' for _ in range(500)))
    contacts = Contacts("139", 12345)
    complaints = [complaint_of(line, key="k", contacts=contacts, channel=None) for line in read(file)]
    assert len({c["complainant"]["phone"] for c in complaints}) == 500
    assert len({c["idempotency_key"] for c in complaints}) == 500
