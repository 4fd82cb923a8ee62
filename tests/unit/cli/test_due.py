import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli.due import due
from services.cli.due_cases import answer_case
from services.service_levels.policy import PACKAGED

MONDAY_TEN = "2026-11-23T10:00:00+08:00"


def ask(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(due, arguments)


def explained(*arguments: str) -> Any:
    """The answer for a program."""
    result = ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_due_time_comes_with_rule_and_count() -> None:
    """The answer names rule and target, and what was counted adds up to the target."""
    answer = explained("--clock", "resolution", "--severity", "3", "--received", MONDAY_TEN)
    assert (answer["rule"], answer["target"], answer["calendar"]) == ("resolution-high", "3d", "centre")
    assert answer["due_at"] == "2026-11-26T10:00:00+08:00"
    assert sum(stretch["seconds"] for stretch in answer["counted"]) == answer["target_s"]
    assert [warning["share"] for warning in answer["warnings"]] == [0.5, 0.8]
    assert [step["level"] for step in answer["escalations"]] == ["agent", "team_lead", "centre_manager", "management"]


def test_round_the_clock_is_told_in_the_hours_of_whoever_asks() -> None:
    """A calendar without hours has no time of its own."""
    answer = explained("--clock", "first_answer", "--severity", "3", "--received", MONDAY_TEN)
    assert (answer["start"], answer["due_at"]) == (MONDAY_TEN, "2026-11-25T10:00:00+08:00")
    assert {stretch["from"][-6:] for stretch in answer["counted"]} == {"+08:00"}


def test_counted_and_skipped_time_leave_no_gap() -> None:
    """Every minute from start to due time is either counted or skipped for a reason."""
    pause = "2026-09-29T09:00+08:00/2026-09-30T10:00+08:00"
    answer = explained(
        "--clock", "resolution", "--severity", "3", "--start", "2026-09-28T16:30+08:00", "--pause", pause
    )
    stretches = sorted([*answer["counted"], *answer["skipped"]], key=lambda stretch: stretch["from"])
    assert stretches[0]["from"] == answer["start"]
    assert stretches[-1]["to"] == answer["due_at"]
    assert all(a["to"] == b["from"] for a, b in pairwise(stretches))
    reasons = {stretch["reason"] for stretch in answer["skipped"]}
    assert {"paused", "break", "public holiday: National Day"} <= reasons


def test_text_for_people_shows_each_stretch() -> None:
    """The text says when it is due, what was counted and why the weekend was not."""
    text = ask("--clock", "unit_response", "--start", "2026-11-20T17:30+08:00", "--calendar", "office").output
    assert "unit_response is due Mon 2026-11-23 12:00" in text
    assert "closed on Saturday" in text
    assert "4 h of 4 h" in text


def test_time_beyond_published_holidays_is_noted() -> None:
    """A due time in a year whose holidays are not published yet says that they are computed."""
    answer = explained("--clock", "resolution", "--severity", "1", "--start", "2099-01-05T10:00+08:00")
    assert "are computed" in answer["notes"][0]


def test_every_mistake_is_told_at_once() -> None:
    """Wrong input gives exit code 2 and one line for each mistake."""
    wrong = ("--clock", "nap", "--severity", "7", "--channel", "fax", "--start", "yesterday", "--calendar", "mars")
    result = ask(*wrong, "--pause", "now", "--risk", "boredom", "--category", "delay.x")
    assert result.exit_code == 2
    for option in ("clock", "severity", "channel", "received", "calendar", "pause", "risk", "category"):
        assert f"--{option}:" in result.stderr


def test_time_without_offset_is_refused() -> None:
    """A naive time names no instant."""
    result = ask("--clock", "acknowledge", "--start", "2026-11-23T10:00:00")
    assert (result.exit_code, "has no offset" in result.stderr) == (2, True)


def test_clock_that_no_rule_gives() -> None:
    """A web complaint has no platform clock; that is an answer and not an error of input."""
    assert ask("--clock", "platform_action", "--channel", "web", "--start", MONDAY_TEN).exit_code == 1


def test_policy_file_of_the_user(tmp_path: Path) -> None:
    """Another policy file is used in place of the packaged one, its calendars beside it."""
    policy = PACKAGED.joinpath("sla.yaml").read_text(encoding="utf-8").replace("target: 15min", "target: PT1M")
    (tmp_path / "own.yaml").write_text(policy, encoding="utf-8")
    calendars = PACKAGED.joinpath("calendars.yaml").read_text(encoding="utf-8")
    (tmp_path / "calendars.yaml").write_text(calendars, encoding="utf-8")
    answer = explained("--clock", "acknowledge", "--start", MONDAY_TEN, "--policy", str(tmp_path / "own.yaml"))
    assert answer["target_s"] == 60


@pytest.mark.parametrize("content", ["", "[1]", "name: x", "clocks: {nap: }"])
def test_file_that_is_no_policy(tmp_path: Path, content: str) -> None:
    """A file that holds something else is refused with what is wrong."""
    path = tmp_path / "policy.yaml"
    path.write_text(content, encoding="utf-8")
    result = ask("--clock", "acknowledge", "--start", MONDAY_TEN, "--policy", str(path))
    assert result.exit_code == 2
    assert "--policy:" in result.stderr


@pytest.mark.parametrize(
    ("op", "fields", "result"),
    [
        ("add", {"start": "2026-11-20 17:00:00", "seconds": 7200}, "2026-11-23 11:00:00"),
        ("sub", {"start": "2026-11-23 10:00:00", "seconds": 7200}, "2026-11-20 16:00:00"),
        ("is_working", {"at": "2026-11-21 10:00:00"}, False),
        ("next_open", {"at": "2026-11-21 10:00:00"}, "2026-11-23 09:00:00"),
        ("last_open", {"at": "2026-11-21 10:00:00"}, "2026-11-20 17:00:00"),
        ("add_working_days", {"start": "2026-11-20 10:00:00", "days": 2}, "2026-11-24 10:00:00"),
        ("periods", {"at": "2026-11-20 16:00:00", "take": 1}, [["2026-11-20 16:00:00", "2026-11-20 17:00:00"]]),
        (
            "due_with_pauses",
            {
                "start": "2026-11-20 10:00:00",
                "seconds": 3600,
                "pauses": [["2026-11-20 10:30:00", "2026-11-20 11:30:00"]],
            },
            "2026-11-20 12:00:00",
        ),
    ],
)
def test_cases_from_outside_are_answered(tmp_path: Path, op: str, fields: dict[str, Any], result: Any) -> None:
    """A file of cases gives an answer per line, and exit code 1 as soon as one is not as expected."""
    hours = {str(day): [["09:00", "17:00"]] for day in range(5)}
    case = {"id": "c1", "op": op, "tz": "Europe/Paris", "hours": hours, "expected": result, **fields}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([case]), encoding="utf-8")
    answer = ask("--case", str(path))
    assert (answer.exit_code, json.loads(answer.stdout)) == (0, {"id": "c1", "result": result, "agrees": True})
    path.write_text(json.dumps([case, {**case, "expected": "2000-01-01 00:00:00"}]), encoding="utf-8")
    assert ask("--case", str(path)).exit_code == 1


def test_case_in_another_zone_and_with_seconds(tmp_path: Path) -> None:
    """Times without offset are in the case's own zone, and an expected length is in seconds."""
    hours = {"4": [["09:00", "17:00"]]}
    case = {"id": 1, "op": "diff", "tz": "Asia/Shanghai", "io_tz": "UTC", "hours": hours, "expected_seconds": 3600}
    times = {"start": "2026-11-20 00:00:00", "end": "2026-11-20 02:00:00"}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([case | times]), encoding="utf-8")
    assert json.loads(ask("--case", str(path)).stdout) == {"id": 1, "result": 3600.0, "agrees": True}


def test_broken_case_does_not_hide_the_others(tmp_path: Path) -> None:
    """A case that cannot be answered says why, and the next one is answered."""
    good = {"id": 2, "op": "is_working", "tz": "UTC", "hours": {}, "at": "2026-11-20 00:00:00", "expected": False}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([{"id": 1, "op": "add", "tz": "UTC", "hours": {}}, good]), encoding="utf-8")
    lines = [json.loads(line) for line in ask("--case", str(path)).stdout.splitlines()]
    assert lines[0] == {"id": 1, "result": None, "error": "missing field 'start'", "agrees": False}
    assert lines[1]["agrees"] is True


@pytest.mark.parametrize("start", ["9999-12-31T17:30:00+08:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_at_the_end_of_the_calendar_is_wrong_input(start: str) -> None:
    """Told in words."""
    result = ask("--clock", "resolution", "--severity", "3", "--received", start)
    assert (result.exit_code, result.exception.__class__) == (2, SystemExit)
    assert "--received" in result.output


@pytest.mark.parametrize(
    "changed",
    [
        {"op": "periods", "at": "2026-11-20 16:00:00"},
        {"op": "periods", "at": "2026-11-20 16:00:00", "take": 10**9},
        {"tz": "Asia"},
        {"hours": []},
        {"hours": {"0": 5}},
        {"date_overrides": [1]},
        {"seconds": "x"},
        {"seconds": 10**30},
        {"op": []},
    ],
)
def test_a_case_that_makes_no_sense_is_answered_with_an_error(changed: dict[str, object]) -> None:
    """The others of the file are answered all the same, and none is worked on for ever."""
    case = {"id": 1, "op": "add", "tz": "Asia/Shanghai", "hours": {"0": [["09:00", "18:00"]]}}
    case |= {"start": "2026-11-20 16:00:00", "seconds": 60} | changed
    assert answer_case(case)["error"]
