"""supervisord over a folder: its file of settings, its life, and what it says of its processes.

Nothing outlives it. On Linux the kernel kills every process with the supervisor (`bound.py`); elsewhere, and for
whatever got away, `stop` finds them by the variable `AMENDS_STACK` that all of them carry.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport  # type: ignore[import-untyped]  # publishes no types

from deploy.local.part import BOUND, Part, PartUnavailableError, spawn_bound, tail
from deploy.local.programs import Program

PARTS_GROUP, LISTENERS_GROUP = "parts", "pids"
_STOP_S_MAX = 60.0
_AWAY = ("STOPPED", "FATAL")


@dataclass(frozen=True)
class ProcessState:
    """What supervisord says of one process; `pid` is 0 when it does not run."""

    name: str
    state: str
    pid: int


class Supervisor:
    """The supervisord of one folder, running or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "logs" / "supervisord.log"
        self._settings = folder / "supervisord.conf"
        self._programs = folder / "services.d"
        # A socket's path has at most about 100 characters, so it cannot lie in a folder of any depth.
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        self._socket = Path(tempfile.gettempdir()) / f"amends-{os.getuid()}-{digest}.sock"

    def start(self, *, parts: Iterable[Part], programs: Iterable[Program], environment: Mapping[str, str],
              detached: bool) -> None:  # fmt: skip
        """Start supervisord, which starts the parts; the services wait for `start_services`.

        Attached, it ends with this process.

        Raises:
            PartUnavailableError: It does not come up.
        """
        self._settings.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(exist_ok=True)
        shutil.rmtree(self._programs, ignore_errors=True)
        self._write(programs)
        self._settings.write_text(settings(folder=self.folder, socket_path=self._socket, parts=list(parts)))
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(self._settings)]
        variables = {**os.environ, **environment, "AMENDS_STACK": str(self.folder), "PYTHONUNBUFFERED": "1"}
        output = self.folder / "logs" / "supervisord.out"
        if detached:
            with output.open("ab") as out:
                process = subprocess.Popen(
                    command, cwd=self.folder, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True,
                )  # fmt: skip
        else:
            process = spawn_bound(command, folder=self.folder, environment=variables, log=output)
        deadline = time.monotonic() + 60
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise PartUnavailableError(f"supervisord does not start. {output} ends:\n{tail(output)}")
            time.sleep(0.05)

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        return self.pid() != 0

    def pid(self) -> int:
        """Process id of supervisord; 0 when it does not answer."""
        try:
            return cast("int", self._remote().getPID())
        except (OSError, xmlrpc.client.Error):
            return 0

    def start_process(self, name: str) -> None:
        """Let a process start, without waiting for it; one that runs goes on."""
        try:
            self._remote().startProcess(self._called(name), False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise

    def stop_process(self, name: str) -> None:
        """Stop a process, which stays away until it is started again."""
        while True:
            try:
                self._remote().stopProcess(self._called(name))
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != Faults.NOT_RUNNING:
                    raise
                if self._remote().getProcessInfo(self._called(name))["statename"] in _AWAY:
                    return
                time.sleep(0.05)  # It ended by itself just now, and is about to be started again.
            else:
                return

    def add(self, programs: Iterable[Program]) -> None:
        """Start further services beside those that run."""
        added = list(programs)
        self._write(added)
        self._remote().reloadConfig()
        for program in added:
            self._remote().addProcessGroup(program.name)
            self.start_process(program.name)

    def remove(self, names: Iterable[str]) -> None:
        """Stop services for good, all at once.

        Raises:
            PartUnavailableError: One does not end.
        """
        removed = list(names)
        for name in removed:
            (self._programs / f"{name}.conf").unlink()
            self._remote().stopProcessGroup(name, False)
        deadline = time.monotonic() + _STOP_S_MAX
        while ending := self.pids().keys() & removed:
            if time.monotonic() > deadline:
                raise PartUnavailableError(f"{', '.join(sorted(ending))} did not end in {_STOP_S_MAX:.0f} s.")
            time.sleep(0.05)
        for name in removed:
            self._remote().removeProcessGroup(name)
        self._remote().reloadConfig()

    def states(self) -> list[ProcessState]:
        """All parts and services; empty when supervisord does not answer."""
        try:
            processes = cast("list[dict[str, Any]]", self._remote().getAllProcessInfo())
        except (OSError, xmlrpc.client.Error):
            return []
        return [
            ProcessState(name=process["name"], state=process["statename"].lower(), pid=process["pid"])
            for process in processes
            if process["group"] != LISTENERS_GROUP
        ]

    def pids(self) -> dict[str, int]:
        """Process id by name of what runs."""
        return {process.name: process.pid for process in self.states() if process.pid}

    def stop(self) -> int:
        """Stop services, then parts, then supervisord, and whatever carries the folder's mark; how many were ended."""
        ended = len(self.pids())
        if supervisor := self.pid():
            self._remote().shutdown()
            deadline = time.monotonic() + _STOP_S_MAX
            while psutil.pid_exists(supervisor) and time.monotonic() < deadline:
                _reap(supervisor)
                time.sleep(0.05)
        left = marked_processes(self.folder)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=10)
        self._socket.unlink(missing_ok=True)
        return ended or len(left)

    def _write(self, programs: Iterable[Program]) -> None:
        self._programs.mkdir(exist_ok=True)
        for program in programs:
            (self._programs / f"{program.name}.conf").write_text(program_settings(program, folder=self.folder))

    def _called(self, name: str) -> str:
        """With its group, as supervisord wants it."""
        groups = {process["name"]: process["group"] for process in self._remote().getAllProcessInfo()}
        return f"{groups[name]}:{name}"

    def _remote(self) -> Any:
        proxy = xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport(serverurl=f"unix://{self._socket}")
        )
        return proxy.supervisor


def marked_processes(folder: Path) -> list[psutil.Process]:
    """Processes of this user that were started for the folder, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("AMENDS_STACK") == str(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def settings(*, folder: Path, socket_path: Path, parts: list[Part]) -> str:
    """The text of supervisord.conf, which takes in a file for each service: those may come and go."""
    sections = [
        _section(
            "supervisord",
            logfile=folder / "logs" / "supervisord.log",
            pidfile=folder / "supervisord.pid",
            logfile_maxbytes="5MB",
            logfile_backups=1,
            **({"user": "root"} if os.getuid() == 0 else {}),  # or it warns of running as root
        ),
        _section("unix_http_server", file=socket_path, chmod="0700"),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        _section(
            "eventlistener:pids",
            **_process("pids", (sys.executable, "-m", "deploy.local.pids_listener"), folder, folder)
            | {
                "events": "PROCESS_STATE",
                "buffer_size": 1000,
                "stdout_logfile": "NONE",
                "stderr_logfile": folder / "logs" / "pids.log",
            },
        ),
        _section(f"group:{PARTS_GROUP}", programs=",".join(part.name for part in parts), priority=100),
        _section("include", files="services.d/*.conf"),
    ]
    for part in parts:
        part.folder.mkdir(parents=True, exist_ok=True)
        sections.append(
            _section(f"program:{part.name}", **_process(part.name, part.command, part.folder, folder),
                     redirect_stderr="true", environment=_environment(part.environment))
        )  # fmt: skip
    # Groups without members are an error to supervisord.
    return "\n".join(section for section in sections if "programs=\n" not in section)


def program_settings(program: Program, *, folder: Path) -> str:
    """The settings of one service: a group of its own, which is stopped before the parts."""
    return _section(
        f"program:{program.name}",
        **_process(program.name, program.command, folder, folder),
        redirect_stderr="true",
        autostart="false",
        priority=900,
        environment=_environment(program.environment),
    )


def _process(name: str, command: Iterable[str], directory: Path, folder: Path) -> dict[str, object]:
    return {
        "command": shlex.join([*BOUND, *command]),
        "directory": directory,
        # Running at once and for good: what ends is started again without a growing pause and without a last try.
        "startsecs": 0,
        "autorestart": "true",
        "stopasgroup": "true",
        "killasgroup": "true",
        "stopwaitsecs": 15,
        "stdout_logfile": folder / "logs" / f"{name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 2,
    }


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in variables.items())


def _section(title: str, **values: object) -> str:
    """One section; supervisord expands `%`, so that a literal one is doubled."""
    lines = [f"{name}={str(value).replace('%', '%%')}" for name, value in values.items()]
    return "\n".join([f"[{title}]", *lines, ""])


def _reap(pid: int) -> None:
    """Take the end of supervisord, if it is our child, or it would seem to live on."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
