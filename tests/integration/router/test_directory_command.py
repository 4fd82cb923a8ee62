import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from services.cli.directory import directory
from services.organisation.directory_store import packaged


@pytest.fixture
def runner(mongo_url: str, database_name: str) -> CliRunner:
    """Calls the command against an empty database."""
    return CliRunner(env={"AMENDS_MONGO": mongo_url, "AMENDS_MONGO_DATABASE": database_name})


def test_a_directory_is_loaded_listed_and_shown_again(runner: CliRunner, tmp_path: Path) -> None:
    """What `show` writes `load` understands, as the next version with the same content."""
    file = tmp_path / "network.yaml"
    file.write_text(yaml.safe_dump(packaged(), allow_unicode=True), encoding="utf-8")
    assert "version 1 is in force" in runner.invoke(directory, ["load", str(file)]).output
    shown = runner.invoke(directory, ["show"])
    file.write_text(shown.output, encoding="utf-8")
    assert "version 2 is in force" in runner.invoke(directory, ["load", str(file)]).output
    assert runner.invoke(directory, ["show"]).output == shown.output
    listed = json.loads(runner.invoke(directory, ["list", "--json"]).output)
    assert listed["version"] == 2
    assert {"complaint_centre", "claims"} <= {row["department"] for row in listed["departments"]}


def test_a_wrong_file_changes_nothing_and_says_everything(runner: CliRunner, tmp_path: Path) -> None:
    """Exit code 1, one line per problem."""
    file = tmp_path / "network.yaml"
    sections = packaged()
    sections["people"] = [{"id": "ann", "department": "moon", "capacity": 1}, {"id": "b b", "capacity": "many"}]
    file.write_text(yaml.safe_dump(sections, allow_unicode=True), encoding="utf-8")
    refused = runner.invoke(directory, ["load", str(file)])
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 3
    assert runner.invoke(directory, ["list"]).exit_code == 1
    file.write_text("just words", encoding="utf-8")
    assert "it must be a mapping" in runner.invoke(directory, ["load", str(file)]).stderr
