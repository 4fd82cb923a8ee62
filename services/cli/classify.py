"""`amends classify`: what the classifier makes of texts, one JSON object per line in and out."""

import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.classification import Classification, Facts
from services.router.classification import classify as classify_text
from services.router.classification import extract


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1)
    subject: str = ""
    remedy: str = ""
    facts: Facts = Facts()


def _answer(line: _Line, said: Classification) -> dict[str, Any]:
    return {
        "primary": said.primary,
        "sub": said.sub,
        "secondary": [matter.code for matter in said.secondary],
        "demand": said.demand,
        "nature": said.nature,
        "grade": said.grade,
        "severity": said.severity,
        "style": said.style,
        "flags": said.flags,
        "confidence": said.confidence,
        "carrier_matter": said.carrier_matter,
        "needs_review": said.needs_review,
        "evidence": [item.model_dump() for item in said.evidence],
        "extracted": extract(line.text).model_dump(mode="json"),
    }


def _timed(line: _Line) -> tuple[Classification, float]:
    started = time.perf_counter()
    said = classify_text(line.text, subject=line.subject, remedy=line.remedy, facts=line.facts)
    return said, time.perf_counter() - started


def _answers(lines: BinaryIO) -> Iterator[tuple[bytes, bool, float]]:
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            line = _Line.model_validate(orjson.loads(raw))
            said, took_s = _timed(line)
            yield orjson.dumps(_answer(line, said)), True, took_s
        except orjson.JSONDecodeError as error:
            yield orjson.dumps({"error": f"line {number} is not JSON: {error}", "line": number}), False, 0.0
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the line'}: {problem['msg']}" for problem in error.errors()
            )
            wanted = 'write {"text": "..."} with subject, remedy and facts as you like'
            yield orjson.dumps({"error": f"line {number}: {problems}; {wanted}", "line": number}), False, 0.0


@click.command(short_help="Say what complaint texts are about.")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--timing", is_flag=True, help="Also say on standard error what a text took on average.")
def classify(file: BinaryIO, *, timing: bool) -> None:
    """Classify complaint texts: JSON lines in (FILE, or standard input), JSON lines out in the same order.

    \b
    In:   {"text": "...", "subject": "...", "remedy": "..."}    only text is needed
    Out:  {"primary": "operation_error", "sub": "false_signoff",
           "secondary": ["delay.delivery"], "demand": ["repair"],
           "nature", "grade": 1..3, "severity": 1..4 (4 gravest), "style",
           "flags": [...], "confidence": 0..1, "carrier_matter", "needs_review",
           "evidence": [{"word", "says"}], "extracted": {"waybills", "phones", ...}}

    A line that cannot be read gives {"error", "line"} in its place; the others are still answered.
    Exit code: 0 all lines answered, 1 at least one line was bad, 2 wrong usage.

    \b
    Example:  echo '{"text": "显示已签收，但是我没有收到"}' | amends classify
    """  # noqa: D301  # a real backspace is how click is told to keep lines as written
    classify_text("")  # reads the word lists, so that they are not counted as the first text's time
    failed, spent_s, count = False, 0.0, 0
    for answer, good, took_s in _answers(file):
        failed, spent_s, count = failed or not good, spent_s + took_s, count + 1
        sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()
    if timing:
        click.echo(f"{count} lines, {spent_s / max(count, 1) * 1e6:.0f} us to classify one", err=True)
    if failed:
        raise SystemExit(1)
