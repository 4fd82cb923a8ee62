"""`amends classify`: what the classifier makes of texts, one JSON object per line in and out."""

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.classification import Facts
from services.router.classification import classify as classify_text
from services.router.classification import extract


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1)
    subject: str = ""
    remedy: str = ""
    facts: Facts = Facts()


def _answer(line: _Line) -> dict[str, Any]:
    said = classify_text(line.text, subject=line.subject, remedy=line.remedy, facts=line.facts)
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


def _answers(lines: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            yield orjson.dumps(_answer(_Line.model_validate(orjson.loads(raw)))), True
        except orjson.JSONDecodeError as error:
            yield orjson.dumps({"error": f"line {number} is not JSON: {error}", "line": number}), False
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the line'}: {problem['msg']}" for problem in error.errors()
            )
            wanted = 'write {"text": "..."} with subject, remedy and facts as you like'
            yield orjson.dumps({"error": f"line {number}: {problems}; {wanted}", "line": number}), False


@click.command(short_help="Say what complaint texts are about.")
@click.argument("file", type=click.File("rb"), default="-")
def classify(file: BinaryIO) -> None:
    r"""Classify complaint texts: JSON lines in (FILE, or standard input), JSON lines out in the same order.

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
    """
    failed = False
    for answer, good in _answers(file):
        failed = failed or not good
        sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()
    if failed:
        raise SystemExit(1)
