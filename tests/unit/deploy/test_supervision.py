"""The settings of supervisord, names of processes, ports, and what a failed part says."""

import configparser
import os
import shlex
import signal
import socket
from pathlib import Path

import pytest

from deploy.local.java import parse_version
from deploy.local.part import Part, PartUnavailableError, await_ready, spawn, terminate
from deploy.local.ports import free_ports, is_free, kept_ports
from deploy.local.programs import preparations, program_names, programs
from deploy.local.run_file import read_run, refresh_pids, write_run
from deploy.local.supervision import program_settings, settings


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_CACHE", str(tmp_path / "cache"))


def part(folder: Path, *command: str) -> Part:
    """A part that never becomes ready."""

    def never() -> None:
        raise ConnectionError("nobody there")

    return Part(
        name="thing", command=command, folder=folder / "thing", address="127.0.0.1:1", probe=never,
        advice="Ask for help.", ready_s_max=0.3,
    )  # fmt: skip


def test_names_further_workers_by_number() -> None:
    """One process bears the service's name, and a service may have none."""
    assert program_names({"router": 2, "intake": 0}) == [
        "router",
        "router-2",
        "sla_monitor",
        "notifier",
        "desk",
        "portal",
    ]


def test_tells_each_process_its_port(tmp_path: Path) -> None:
    """Every process has a port of its own, and the address says it."""
    ports = kept_ports(tmp_path, program_names({"router": 2}))
    made = programs(workers={"router": 2}, ports=ports)
    assert len({program.port for program in made}) == 7
    second = next(program for program in made if program.name == "router-2")
    assert second.environment == {"AMENDS_HTTP_PORT": str(second.port), "AMENDS_WORKER": "2"}
    assert second.command[-1] == "services.router"


def test_supervisord_restarts_parts_at_once_and_starts_services_later(tmp_path: Path) -> None:
    """Its settings can be parsed, keep a percent sign, and order services behind parts."""
    text = settings(
        folder=tmp_path,
        socket_path=tmp_path / "s.sock",
        parts=[part(tmp_path, "serve", "a b", "100%")],
    )
    (router,) = programs(
        workers={"intake": 0, "sla_monitor": 0, "notifier": 0, "desk": 0, "portal": 0}, ports={"router": 1}
    )
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    parsed.read_string(program_settings(router, folder=tmp_path))
    assert shlex.split(parsed["program:thing"]["command"])[-3:] == ["serve", "a b", "100%"]
    assert parsed["program:thing"]["startsecs"] == "0"
    assert parsed["program:router"]["autostart"] == "false"
    assert int(parsed["program:router"]["priority"]) > int(parsed["group:parts"]["priority"])


def test_leaves_out_a_group_without_members(tmp_path: Path) -> None:
    """Supervisord refuses an empty group."""
    assert "group:parts" not in settings(folder=tmp_path, socket_path=tmp_path / "s", parts=[])


def test_fills_in_the_preparations(tmp_path: Path) -> None:
    """The keyring is made in the folder of the stack, and a policy is loaded only when one was asked for."""
    commands = preparations(folder=tmp_path, policy="demo")
    assert f"{tmp_path}/keyring.json" in commands[0]
    assert commands[-1][-3:] == ["policy", "load", "demo"]
    assert not any("policy" in command for command in preparations(folder=tmp_path, policy=""))


def test_keeps_ports_until_another_takes_one(tmp_path: Path) -> None:
    """A restarted stack is where it was, but for a port that is taken now."""
    first = kept_ports(tmp_path, ["a", "b"])
    assert kept_ports(tmp_path, ["a", "b"]) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["a"]))
        taken.listen()
        second = kept_ports(tmp_path, ["a", "b"])
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_never_gives_a_port_twice() -> None:
    """Two starts at the same time get different ports though nobody listens yet."""
    first, second = free_ports(20), free_ports(20)
    assert not set(first) & set(second)
    assert all(is_free(port) for port in first)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25"', 25),
        ("", 0),
    ],
)
def test_reads_the_version_of_java(text: str, version: int) -> None:
    """Old and new forms of the version are understood."""
    assert parse_version(text) == version


def test_says_what_to_do_when_a_part_gives_no_answer(tmp_path: Path) -> None:
    """The message has the part, its address, the advice and the end of its log."""
    silent = part(tmp_path, "sh", "-c", "echo cannot open data; sleep 60")
    process = spawn(silent)
    try:
        with pytest.raises(
            PartUnavailableError, match=r"(?s)thing at 127.0.0.1:1 gave no answer.*Ask for help.*cannot open"
        ):
            await_ready(silent)
    finally:
        terminate(process)
    assert process.poll() == -signal.SIGTERM


def test_says_so_at_once_when_a_part_ends(tmp_path: Path) -> None:
    """A part that ended is not waited for."""
    with pytest.raises(PartUnavailableError, match="ended while starting"):
        await_ready(part(tmp_path), alive=lambda: False)


def test_kills_what_ignores_a_request_to_stop(tmp_path: Path) -> None:
    """A process group that ignores SIGTERM is killed, with its children."""
    (tmp_path / "thing").mkdir()
    os.mkfifo(tmp_path / "thing" / "ready")
    process = spawn(part(tmp_path, "sh", "-c", "trap '' TERM; echo > ready; sleep 60; sleep 60"))
    (tmp_path / "thing" / "ready").read_text()
    terminate(process, grace_s=0.2)
    assert process.poll() == -signal.SIGKILL


def test_freshens_process_ids_only_of_a_running_stack(tmp_path: Path) -> None:
    """run.json gets new ids while it is there and is not made again after it was taken away."""
    refresh_pids(tmp_path, {"router": 1})
    assert read_run(tmp_path) is None
    write_run(tmp_path, {"kafka": "k", "pids": {"router": 1}})
    refresh_pids(tmp_path, {"router": 2})
    assert read_run(tmp_path) == {"kafka": "k", "pids": {"router": 2}}
