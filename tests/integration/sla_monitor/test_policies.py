"""`amends policy` on a real database."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from services.cli.policies import policy
from services.service_levels.policy import read_policy

pytestmark = pytest.mark.integration


@pytest.fixture
def amends(mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell whose database is empty."""
    monkeypatch.setenv("AMENDS_MONGO", mongo_url)
    monkeypatch.setenv("AMENDS_MONGO_DATABASE", database_name)
    return CliRunner()


def run(amends: CliRunner, *words: str) -> Result:
    """One command."""
    return amends.invoke(policy, words)


def test_packaged_policies_replace_each_other(amends: CliRunner) -> None:
    """A packaged policy comes into force as the next version, once."""
    assert "as version 1" in run(amends, "load", "demo").output
    assert "as version 1" in run(amends, "load", "demo").output
    assert "as version 2" in run(amends, "load", "default").output
    versions = json.loads(run(amends, "list", "--json").output)["versions"]
    assert [(v["version"], v["name"]) for v in versions] == [(1, "demo"), (2, "default")]


def test_what_is_shown_can_be_loaded(amends: CliRunner, tmp_path: Path) -> None:
    """`show` writes the file that was loaded, so it can be changed and loaded as the next version."""
    run(amends, "load", "default")
    file = tmp_path / "next.yaml"
    file.write_text(run(amends, "show").output)
    assert read_policy(file) == read_policy()
    assert "nothing is changed" in run(amends, "load", str(file)).output


def test_every_mistake_is_told_and_nothing_changed(amends: CliRunner, tmp_path: Path) -> None:
    """A wrong file is refused with all its mistakes; so is a version that would change what has been."""
    run(amends, "load", "default")
    written = yaml.safe_load(run(amends, "show").output)
    written["version"] = 2
    late = tmp_path / "late.yaml"
    late.write_text(yaml.safe_dump(written))
    refused = run(amends, "load", str(late))
    assert refused.exit_code == 1
    assert "effective_from" in refused.output
    written["clocks"]["acknowledge"]["rules"][0]["target"] = "soon"
    written["clocks"]["resolution"]["calendar"] = "moon"
    late.write_text(yaml.safe_dump(written))
    refused = run(amends, "load", str(late))
    assert refused.exit_code == 1
    assert "target" in refused.output
    assert "moon" in refused.output
    assert len(json.loads(run(amends, "list", "--json").output)["versions"]) == 1
    assert run(amends, "show", "7").exit_code == 1
