"""The command `amends classify`."""

import json

from click.testing import CliRunner, Result

from services.cli.classify import classify


def _run(text: str) -> Result:
    return CliRunner().invoke(classify, [], input=text)


def test_answers_line_by_line() -> None:
    """One object per text, with the codes as strings, in the order of the input."""
    result = _run('{"text": "显示已签收但我没收到，快递员还骂人，单号SF1234567890123"}\n\n{"text": "快递太慢了"}\n')
    first, second = map(json.loads, result.output.splitlines())
    assert result.exit_code == 0
    assert (first["primary"], first["sub"]) == ("operation_error", "false_signoff")
    assert "attitude.rude" in first["secondary"]
    assert first["extracted"]["waybills"] == ["SF1234567890123"]
    assert set(first["evidence"][0]) == {"word", "says"}
    assert {"demand", "grade", "severity", "flags", "confidence", "nature", "style", "carrier_matter"} <= first.keys()
    assert (second["primary"], second["sub"], second["secondary"]) == ("delay", "delivery", [])


def test_a_bad_line_costs_its_neighbours_nothing() -> None:
    """What cannot be read is answered with an error in its place, and the exit code tells."""
    result = _run('{"text": "快递太慢了"}\nnot json\n{"body": "x"}\n[]\n{"text": ""}\n{"text": "包裹丢了"}\n')
    answers = [json.loads(line) for line in result.output.splitlines()]
    assert result.exit_code == 1
    assert [answer.get("line") for answer in answers] == [None, 2, 3, 4, 5, None]
    assert "text" in answers[2]["error"]
    assert answers[5]["primary"] == "loss"


def test_subject_remedy_and_facts_count() -> None:
    """A line may carry more than the text."""
    line = {"text": "快递坏了", "remedy": "要求赔偿", "facts": {"special_identity": "lawyer"}}
    answer = json.loads(_run(json.dumps(line)).output)
    assert "compensation" in answer["demand"]
    assert answer["flags"] == ["special_identity"]
    assert answer["needs_review"]
