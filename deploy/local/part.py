"""What a part of the stack is, and how it is started, awaited and killed as a process."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

BOUND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("bound.py")))
"""Put before a command: the kernel kills it when the process that started it is gone (Linux)."""

# The kernel ties a bound process to the *thread* that started it, so all are started by one that lives to the end.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")


class PartUnavailableError(RuntimeError):
    """A part cannot be had or does not come up; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the stack.

    `probe` makes one round trip in the part's own protocol and raises anything while the part is not ready.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    address: str
    probe: Callable[[], None]
    advice: str
    ready_s_max: float = 180.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where the part's output goes."""
        return self.folder.parent / "logs" / f"{self.name}.log"


def spawn(part: Part) -> subprocess.Popen[bytes]:
    """Start the part in a process group of its own, its output appended to its log."""
    part.folder.mkdir(parents=True, exist_ok=True)
    return spawn_bound(part.command, folder=part.folder, environment={**os.environ, **part.environment}, log=part.log)


def spawn_bound(
    command: Iterable[str], *, folder: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own that ends when this process does."""
    log.parent.mkdir(parents=True, exist_ok=True)

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [*BOUND, *command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    return _STARTER.submit(start).result()


def await_ready(part: Part, *, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until the part answers its probe.

    Raises:
        PartUnavailableError: It died (`alive` is false) or did not answer in `ready_s_max`.
    """
    deadline = time.monotonic() + part.ready_s_max
    while True:
        try:
            part.probe()
        except Exception as error:  # noqa: BLE001 - whatever a client raises means "not yet"
            reason = f"{type(error).__name__}: {error}"
        else:
            return
        if not alive():
            raise PartUnavailableError(_failure(part, "ended while starting"))
        if time.monotonic() > deadline:
            raise PartUnavailableError(_failure(part, f"gave no answer for {part.ready_s_max:.0f} s ({reason})"))
        time.sleep(0.1)


def terminate(process: subprocess.Popen[bytes], *, grace_s: float = 10.0) -> None:
    """Ask the process group to stop, and kill it when it has not after `grace_s`."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        send_signal(process, number)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            continue
        return


def send_signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal to the whole process group; a group that is gone is fine."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for a message that explains a failure."""
    if not path.exists():
        return "(no log)"
    with path.open(errors="replace") as log:
        return "".join(deque(log, lines)).rstrip() or "(the log is empty)"


def _failure(part: Part, what: str) -> str:
    return f"{part.name} at {part.address} {what}. {part.advice} Its log {part.log} ends:\n{tail(part.log)}"
