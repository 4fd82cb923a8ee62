"""Rules and panels parse, alerts fire on one side of their threshold and not on the other, every metric exists."""

import inspect
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.grafana.dashboards import DASHBOARDS, rendered
from deploy.local.part import PartUnavailableError
from deploy.local.promtool import promtool
from services.runtime import metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = [DEPLOY / "prometheus" / name for name in ("recording.yaml", "alerts.yaml")]
RUNBOOK = DEPLOY.parent / "docs" / "runbook.md"


@pytest.fixture(scope="module")
def tool():
    try:
        return promtool()
    except PartUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def rules():
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


ALERTS = sorted(rule["alert"] for rule in rules() if "alert" in rule)


def existing_metrics():
    """Names as they stand on a metrics page, recorded ones included."""
    names = {"up"} | {rule["record"] for rule in rules() if "record" in rule}
    for name, kind in inspect.getmembers(metrics, inspect.isclass):
        if name.endswith("Metrics") and kind.__module__ == metrics.__name__:
            registry = CollectorRegistry()
            kind(registry)
            for family in registry.collect():
                suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
                names |= {family.name + suffix for suffix in suffixes[family.type]}
    return names


def named_metrics(expression):
    return set(re.findall(r"\b(?:[a-z_]+:)*amends_[a-z0-9_]+(?::[a-z0-9_]+)?", expression))


def test_promtool_accepts_configuration_and_rules(tool):
    """What is mounted into Prometheus loads."""
    for command in (
        ["check", "rules", *RULES],
        ["check", "config", "--syntax-only", DEPLOY / "prometheus/prometheus.yaml"],
    ):
        done = subprocess.run([tool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_alerts_fire_on_one_side_and_stay_quiet_on_the_other(tool):
    """Nobody is woken for nothing, and somebody is when it counts."""
    file = DEPLOY / "prometheus" / "alerts_test.yaml"
    done = subprocess.run([tool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_both_tests_and_a_runbook_heading(alert):
    """Whoever is paged finds what to do under the alert's own name."""
    tests = {t["name"] for t in yaml.safe_load((DEPLOY / "prometheus/alerts_test.yaml").read_text())["tests"]}
    assert {f"{alert} fires", f"{alert} stays quiet"} <= tests
    assert f"\n## {alert}\n" in RUNBOOK.read_text()
    (rule,) = [rule for rule in rules() if rule.get("alert") == alert]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"


def test_every_metric_in_rules_exists():
    """A rule over a metric that nobody exports never fires."""
    named = set().union(*(named_metrics(rule["expr"]) for rule in rules()))
    assert named - existing_metrics() == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_in_panels_exists(name):
    """An empty panel looks like good news."""
    board = json.loads(rendered(name))
    expressions = [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    assert expressions
    assert set().union(*map(named_metrics, expressions)) - existing_metrics() == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_checked_in_dashboard_is_what_the_code_gives(name):
    """Grafana loads the file; people change the code."""
    assert (DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text() == rendered(name)
