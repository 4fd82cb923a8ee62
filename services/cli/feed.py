"""`amends feed`: the complaints of a file into a running intake, resumable, each line answered."""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import httpx
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deploy.local.run_file import read_run, run_folder
from schemas.codes import Channel, Language
from services.intake.lines import CsvLines, JsonLines, Line, Lines

EXIT_SOME_REFUSED: Final = 1
EXIT_USAGE: Final = 2
CHUNK_LINES: Final = 200
"""Lines of one request: what has to be sent again when the connection breaks."""
ATTEMPTS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
"""Pauses between attempts when the intake is away; half a minute in all, the time a restart takes."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
PHONE_DIGITS: Final = 11


@dataclass
class Tally:
    """What became of the lines so far; also what the resume file holds."""

    file: str
    """Digest of the file: another file does not go on where this one stopped."""
    next_line: int = 1
    accepted: int = 0
    refused: int = 0
    unavailable: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)
    """The first hundred, as the intake told them."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Makes up a phone number for each line that names nobody, so that every complainant is a person of their own."""

    prefix: str
    start: int

    def phone(self, line: int) -> str:
        """Of the line with this number: the prefix filled up to 11 digits, distinct within a file."""
        room = PHONE_DIGITS - len(self.prefix)
        return f"{self.prefix}{(self.start + line) % 10**room:0{room}d}"


@click.command(short_help="Send the complaints of a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", help="Address of the intake.  [default: from run.json of `amends up`]")
@click.option("--channel", type=click.Choice([c.value for c in Channel]), help="For lines that name none.")
@click.option(
    "--invent-contacts/--no-invent-contacts",
    default=None,
    help="Make up a phone number for a line that names nobody.  [default: only for an intake on this machine]",
)
@click.option("--phone-prefix", default="139", show_default=True, help="Made-up phone numbers begin so.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Lines a second; as fast as it goes if none.")
@click.option("--key", help="Name of this feed. The same file is accepted anew under another.  [default: its digest]")
@click.option(
    "--resume", type=click.Path(dir_okay=False, path_type=Path), help="Note progress here, and go on from there."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def feed(
    *,
    file: Path,
    url: str | None,
    channel: str | None,
    invent_contacts: bool | None,
    phone_prefix: str,
    rate: float | None,
    key: str | None,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Send the complaints in FILE: JSON lines (.jsonl) or CSV (.csv).

    A line is a complaint as `POST /v1/complaints` takes it, or just {"text": ..., "lang": ...}. For an intake on this
    machine, a line without any way to reach somebody gets a phone number of its own. Sending the same file again makes
    nothing twice.

    \b
    Exit codes: 0 all accepted; 1 some refused or not answered; 2 wrong usage or no intake.
    """  # noqa: D301  # a real backspace is how click is told to keep lines as written
    if not phone_prefix.isdecimal() or len(phone_prefix) > PHONE_DIGITS - 4:
        raise click.UsageError(f"--phone-prefix {phone_prefix!r}: up to {PHONE_DIGITS - 4} digits are wanted")
    where = url or (read_run(run_folder()) or {}).get("http", {}).get("intake")
    if not where:
        raise click.UsageError(f"no intake is running in {run_folder()}: `amends up`, or name one with --url")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    tally = _resumed(resume, digest)
    sending = _Sending(
        file=file,
        url=where.rstrip("/"),
        key=key or digest[:32],
        # Elsewhere a made-up number is somebody's, who would get messages about a stranger's parcel.
        contacts=Contacts(phone_prefix, int(digest[:12], 16)) if _invents(where, wanted=invent_contacts) else None,
        channel=channel,
        rate=rate,
        resume=resume,
        tally=tally,
    )
    try:
        asyncio.run(sending.run())
    except httpx.HTTPError as error:
        click.echo(f"The intake at {where} does not answer ({type(error).__name__}).", err=True)
        sys.exit(EXIT_USAGE if tally.next_line == 1 else EXIT_SOME_REFUSED)
    _tell(tally, as_json=as_json)
    sys.exit(EXIT_SOME_REFUSED if tally.refused or tally.unavailable else 0)


@dataclass(kw_only=True)
class _Sending:
    file: Path
    url: str
    key: str
    contacts: Contacts | None
    channel: str | None
    rate: float | None
    resume: Path | None
    tally: Tally

    async def run(self) -> None:
        """Send everything from where the tally stands."""
        lines = [line for line in read(self.file) if line.number >= self.tally.next_line]
        size = max(1, min(CHUNK_LINES, int(self.rate or CHUNK_LINES)))
        started_at = time.monotonic()
        sent = 0
        async with httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5)) as client:
            with _progress() as shown:
                task = shown.add_task("complaints", total=len(lines))
                for start in range(0, len(lines), size):
                    chunk = lines[start : start + size]
                    if self.rate:
                        await asyncio.sleep(max(0.0, started_at + sent / self.rate - time.monotonic()))
                    await self._send(client, chunk)
                    sent += len(chunk)
                    shown.update(task, completed=sent)
                    self._note(chunk[-1].number + 1)

    async def _send(self, client: httpx.AsyncClient, chunk: list[Line]) -> None:
        """One request, again for as long as the intake is away; keys make sending twice harmless."""
        waiting = dict(enumerate(chunk, start=1))
        answers: dict[int, dict[str, Any]] = {}
        for pause_s in (*ATTEMPTS_S, None):
            try:
                async with aclosing(self._answers(client, list(waiting.items()))) as coming:
                    async for number, answer in coming:
                        answers[number] = answer
                        if answer["status"] != "unavailable":
                            waiting.pop(number)
            except httpx.HTTPError:
                if pause_s is None:
                    raise
            if not waiting or pause_s is None:
                break
            await asyncio.sleep(pause_s)
        for number, line in enumerate(chunk, start=1):
            self._count(line, answers.get(number, {"status": "unavailable", "errors": []}))

    async def _answers(
        self, client: httpx.AsyncClient, lines: list[tuple[int, Line]]
    ) -> AsyncGenerator[tuple[int, dict[str, Any]], None]:
        body = b"\n".join(self._body(line) for _, line in lines)
        request = client.stream(
            "POST",
            f"{self.url}/v1/complaints/batch",
            content=body,
            headers={"Content-Type": "application/x-ndjson"},
        )
        async with request as response:
            response.raise_for_status()
            async for text in response.aiter_lines():
                answer = orjson.loads(text)
                yield lines[answer["line"] - 1][0], answer

    def _body(self, line: Line) -> bytes:
        if line.values is None:
            return line.raw.replace(b"\n", b" ") or b"{"  # the intake refuses it, tells why and keeps it
        return encoded(complaint_of(line, key=self.key, contacts=self.contacts, channel=self.channel))

    def _count(self, line: Line, answer: dict[str, Any]) -> None:
        status = answer["status"]
        self.tally.accepted += status == "accepted"
        self.tally.refused += status == "refused"
        self.tally.unavailable += status == "unavailable"
        if status != "accepted" and len(self.tally.refusals) < 100:
            # What was wrong with the line in its own format, not with what it became on the way.
            errors = [line.problem.told(Language.EN)] if line.problem else answer["errors"]
            self.tally.refusals.append({**answer, "line": line.number, "errors": errors})

    def _note(self, next_line: int) -> None:
        self.tally.next_line = next_line
        if self.resume is not None:
            fresh = self.resume.with_suffix(self.resume.suffix + ".new")
            fresh.write_text(json.dumps(asdict(self.tally)))
            fresh.replace(self.resume)


def _invents(where: str, *, wanted: bool | None) -> bool:
    return httpx.URL(where).host in LOOPBACK if wanted is None else wanted


def complaint_of(line: Line, *, key: str, contacts: Contacts | None, channel: str | None) -> dict[str, Any]:
    """A line as the intake takes it: with a key and, where contacts may be made up, with somebody to reach."""
    assert line.values is not None
    values = dict(line.values)
    values.setdefault("idempotency_key", f"{key}:{line.number}")
    if channel is not None:
        values.setdefault("channel", channel)
    complainant = values.get("complainant", {})
    if (
        contacts
        and isinstance(complainant, dict)
        and not any(complainant.get(way) for way in ("phone", "email", "wechat"))
    ):
        values["complainant"] = {**complainant, "phone": contacts.phone(line.number)}
    return values


def encoded(complaint: dict[str, Any]) -> bytes:
    """As it is sent. Whatever JSON can say goes out: half a surrogate pair is for the intake to refuse."""
    return json.dumps(complaint).encode("ascii")


def read(file: Path) -> Iterator[Line]:
    """All lines of a file; by its name CSV or JSON lines."""
    lines: Lines = CsvLines() if file.suffix.lower() == ".csv" else JsonLines()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            yield from lines.feed(piece)
    yield from lines.end()


def _resumed(resume: Path | None, digest: str) -> Tally:
    if resume is None or not resume.exists():
        return Tally(digest)
    noted = Tally(**json.loads(resume.read_text()))
    if noted.file != digest:
        raise click.UsageError(f"{resume} is about another file; remove it to begin anew")
    return noted


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def _tell(tally: Tally, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(asdict(tally)))
        return
    click.echo(f"{tally.accepted} accepted, {tally.refused} refused, {tally.unavailable} not answered")
    for answer in tally.refusals:
        for error in answer["errors"]:
            where = f"line {answer['line']}" + (f", {error['field']}" if error["field"] else "")
            click.echo(f"  {where}: {error['problem']} {error['todo']}", err=True)
