"""Where the browser of the journeys comes from."""

import os

import pytest

from deploy.local.chromium import chromium
from deploy.local.part import PartUnavailableError


@pytest.fixture
def path(monkeypatch, tmp_path):
    """A folder that is all of the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("AMENDS_CACHE", str(tmp_path / "cache"))
    return folder


def program(folder, name, script="exit 0"):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_browser_on_the_path_is_taken(path):
    """Whoever has Chrome needs no Chromium."""
    chrome = program(path, "google-chrome")
    assert chromium() == chrome


def test_who_cannot_install_it_is_told_what_to_do(path, monkeypatch):
    """Without root nothing is installed, and the message names the command."""
    program(path, "apt-get", "exit 3")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        PartUnavailableError, match=r"`apt-get install .* chromium-headless-shell fonts-noto-cjk` as root"
    ):
        chromium()


def test_root_gets_the_package(path, monkeypatch):
    """It is there afterwards."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    browser = path / "chromium-headless-shell"
    program(path, "apt-get", f'[ "$1" = update ] || {{ echo "#!/bin/sh" > {browser}; /bin/chmod +x {browser}; }}')
    assert chromium() == browser


def test_what_apt_says_is_told(path, monkeypatch):
    """A failed installation tells why."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(path, "apt-get", "echo no such package >&2; exit 100")
    with pytest.raises(PartUnavailableError, match="no such package"):
        chromium()
