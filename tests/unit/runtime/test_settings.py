"""Settings from the environment."""

import pytest

from services.runtime.settings import EXIT_WRONG_SETTINGS, RuntimeSettings, load


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Each with its variable, its value and what is wanted; then the process ends."""
    monkeypatch.setenv("AMENDS_PARTITIONS", "none")
    monkeypatch.setenv("AMENDS_LOG_LEVEL", "loud")
    with pytest.raises(SystemExit) as ended:
        load(RuntimeSettings)
    told = capsys.readouterr().err
    assert ended.value.code == EXIT_WRONG_SETTINGS
    assert "AMENDS_PARTITIONS='none'" in told
    assert "AMENDS_LOG_LEVEL='loud'" in told


def test_signing_in_needs_a_user_and_a_password(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """And what was given already is not shown, for it may be the password."""
    monkeypatch.setenv("AMENDS_KAFKA_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("AMENDS_KAFKA_PASSWORD", "hush")
    with pytest.raises(SystemExit):
        load(RuntimeSettings)
    told = capsys.readouterr().err
    assert "AMENDS_KAFKA_PROTOCOL=SASL_SSL needs AMENDS_KAFKA_USER and AMENDS_KAFKA_PASSWORD" in told
    assert "hush" not in told


def test_whom_proxies_speak_for_is_believed_of_named_addresses_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Addresses and networks; a star, which would let anybody name another's address, is refused."""
    monkeypatch.setenv("AMENDS_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1")
    assert load(RuntimeSettings).trusted_proxies == "10.0.0.0/8,2001:db8::1"
    monkeypatch.setenv("AMENDS_TRUSTED_PROXIES", "*,10.0.0.1,proxy")
    with pytest.raises(SystemExit):
        load(RuntimeSettings)
    assert "neither addresses nor networks: *, proxy" in capsys.readouterr().err
