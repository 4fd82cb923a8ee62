"""`amends feed` makes complaints of lines."""

import json
from pathlib import Path

from services.cli.feed import Contacts, _invents, complaint_of, encoded, read


def test_feeding_a_file_gives_each_complainant_a_phone_of_their_own(tmp_path: Path) -> None:
    """Distinct, valid, and the same when the file is fed again."""
    file = tmp_path / "feed.jsonl"
    file.write_text("\n".join('{"text":"late","lang":"en"}' for _ in range(500)))
    contacts = Contacts("139", 12345)
    complaints = [complaint_of(line, key="k", contacts=contacts, channel=None) for line in read(file)]
    assert len({c["complainant"]["phone"] for c in complaints}) == 500
    assert len({c["idempotency_key"] for c in complaints}) == 500


def test_what_only_the_intake_can_refuse_is_sent_to_it(tmp_path: Path) -> None:
    """Half a surrogate pair, and a number of any length: they cost their own line, and no neighbour."""
    file = tmp_path / "feed.jsonl"
    file.write_text('{"text":"half \\ud800"}\n{"text":"late","phone":99999999999999999999999999}\n')
    sent = [encoded(complaint_of(line, key="k", contacts=Contacts("139", 1), channel=None)) for line in read(file)]
    assert [json.loads(one)["text"] for one in sent] == ["half \ud800", "late"]


def test_contacts_are_made_up_only_where_no_message_leaves_the_machine(tmp_path: Path) -> None:
    """Any number may be somebody's, so an intake that was named gets the line as it is, to refuse it."""
    file = tmp_path / "feed.jsonl"
    file.write_text('{"text": "丢了"}')
    (line,) = read(file)
    assert complaint_of(line, key="k", contacts=None, channel=None).get("complainant") is None
    assert _invents("http://127.0.0.1:8080", wanted=None)
    assert not _invents("https://intake.example", wanted=None)
    assert _invents("https://intake.example", wanted=True)
