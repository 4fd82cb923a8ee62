"""Keys: what is sealed opens for its complaint alone."""

import unicodedata
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import sealing
from services.runtime.sealing import BrokenKeyring, CannotOpen, FileKeyProvider, Keyring


@pytest.fixture
def keyring(tmp_path):
    return Keyring.create(tmp_path / "keys.json")


def test_sealed_data_opens_for_its_complaint_alone(keyring):
    """The associated data ties a contact to its complaint, so that documents cannot be swapped."""
    mine, other = uuid4(), uuid4()
    sealed = keyring.seal("张三 13800138000".encode(), about=mine)
    assert keyring.open(sealed, about=mine) == "张三 13800138000".encode()
    with pytest.raises(CannotOpen, match="altered, or belongs to another"):
        keyring.open(sealed, about=other)


def test_rotation_keeps_old_keys_opening_and_rewraps_under_the_new(tmp_path, keyring):
    """After a rotation nothing becomes unreadable, and a rewrapped document carries the new key's id."""
    complaint = uuid4()
    sealed = keyring.seal(b"secret", about=complaint)
    path = tmp_path / "keys.json"
    assert FileKeyProvider(path).rotate() == "k2"
    assert path.stat().st_mode & 0o777 == 0o600
    rotated = Keyring.load(path)
    rewrapped = rotated.rewrap(sealed, about=complaint)
    assert (sealed.key_id, rewrapped.key_id) == ("k1", "k2")
    assert rotated.open(rewrapped, about=complaint) == b"secret"


def test_a_key_that_was_added_since_the_start_opens(tmp_path, keyring):
    """Services read the keys again when they meet a new one, so a rotation needs no order of restarts."""
    complaint = uuid4()
    FileKeyProvider(tmp_path / "keys.json").rotate()
    sealed = Keyring.load(tmp_path / "keys.json").seal(b"secret", about=complaint)
    assert keyring.open(sealed, about=complaint) == b"secret"
    unknown = sealed.model_copy(update={"key_id": "k9"})
    with pytest.raises(CannotOpen, match="known: k1, k2"):
        keyring.open(unknown, about=complaint)


def test_a_keyring_with_names_of_its_own_is_rotated(tmp_path, keyring):
    """Keys may be called anything; the new one is called by a number that none has."""
    path = tmp_path / "keys.json"
    path.write_text(path.read_text().replace("k1", "2026-spring"))
    assert FileKeyProvider(path).rotate() == "k1"
    assert set(FileKeyProvider(path).keys().sealing) == {"2026-spring", "k1"}


def test_a_service_with_a_broken_keyring_ends_with_a_sentence(tmp_path, capsys):
    """Not with a traceback: it names the file and what to do, whatever stands in the file."""
    path = tmp_path / "keys.json"
    for content in ("", "[]", "{}", '{"current": "k1", "sealing": {}, "index": ""}'):
        path.write_text(content)
        with pytest.raises(SystemExit):
            Keyring.of_service(path)
        assert f"AMENDS_KEYRING={path}" in capsys.readouterr().err


def test_missing_keyring_says_how_to_make_one(tmp_path):
    """The first start on a new machine fails with a sentence that helps."""
    with pytest.raises(FileNotFoundError, match="amends keyring create"):
        Keyring.load(tmp_path / "none.json")


def test_creating_twice_keeps_the_first_keys(tmp_path):
    """A second start must not make what was sealed unreadable."""
    path = tmp_path / "keys.json"
    FileKeyProvider(path).create()
    first = path.read_bytes()
    FileKeyProvider(path).create()
    assert path.read_bytes() == first


def test_complaint_ids_follow_from_channel_and_key(keyring):
    """The same key on the same channel is the same complaint; on another channel it is another."""
    assert keyring.complaint_id("web", "k") == keyring.complaint_id("web", "k")
    assert keyring.complaint_id("web", "k") != keyring.complaint_id("phone", "k")


def test_fingerprint_is_blind_to_width_case_and_punctuation(keyring):
    """The same text typed twice rarely has the same commas."""
    assert keyring.fingerprint("快递 丢了！ＡＢＣ") == keyring.fingerprint("快递丢了, abc")
    assert keyring.fingerprint("快递丢了") != keyring.fingerprint("快递没丢")


def test_a_keyring_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    """Whoever dies while writing leaves no half file, which nobody would dare to overwrite."""
    path = tmp_path / "keys.json"
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", _no_room)
        with pytest.raises(OSError, match="No space left"):
            FileKeyProvider(path).create()
    assert list(tmp_path.iterdir()) == []
    Keyring.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def _no_room(_descriptor):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 5000,
        '{"current": [], "sealing": {}, "index": ""}',
        '{"current": "k1", "sealing": {"k1": "AAAA"}, "index": "AAAA"}',
    ],
)
def test_what_is_no_keyring_is_told_when_it_is_read(tmp_path: Path, content: str) -> None:
    """Not when the first complaint is sealed."""
    path = tmp_path / "keyring.json"
    path.write_text(content)
    with pytest.raises(BrokenKeyring):
        FileKeyProvider(path).keys()


@given(
    text=st.text(
        st.characters(min_codepoint=0xFE00) | st.sampled_from("e\u0301\u0301\u3099\uff76か，！ａ"), max_size=12
    )
)
def test_fingerprint_is_of_the_text_as_unicode_normalises_it(text: str) -> None:
    """That wide ASCII is made narrow beforehand changes nothing."""
    assert unicodedata.normalize("NFKC", text.translate(sealing._WIDE)) == unicodedata.normalize("NFKC", text)
