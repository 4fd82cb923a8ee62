"""`amends docs`: write what is made from the code: JSON Schemas, AsyncAPI, tables of settings, metrics and rights."""

import importlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import yaml
from prometheus_client import CollectorRegistry

from schemas import lifecycle
from schemas.publishing import async_api, json_schema
from schemas.topics import MESSAGES
from services.desk import rights
from services.runtime import metrics
from services.runtime.settings import RuntimeSettings, table

SETTINGS = (
    ("services.runtime.settings", "RuntimeSettings", "Every service"),
    ("services.intake.settings", "IntakeSettings", "intake"),
    ("services.router.settings", "RouterSettings", "router"),
    ("services.sla_monitor.settings", "SlaMonitorSettings", "sla_monitor"),
    ("services.notifier.settings", "NotifierSettings", "notifier"),
    ("services.desk.settings", "DeskSettings", "desk"),
    ("services.portal.settings", "PortalSettings", "portal"),
)
ON_ONE_MACHINE = (
    ("AMENDS_RUN", ".run", "Folder of the stack that `amends up` starts: data, logs, `run.json`."),
    ("AMENDS_CACHE", "~/.cache/amends", "Folder of what the local stack downloads or builds once."),
)


@click.command(short_help="Write schemas and tables in docs/ anew from the code.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and name the files that differ.")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="The checkout.")
def docs(*, check: bool, root: Path) -> None:
    """Write schemas/published/ and the tables in docs/ anew from the code."""
    stale = [path for path, text in generated() if not (root / path).exists() or (root / path).read_text() != text]
    if check:
        for path in stale:
            click.echo(f"{path} is not what the code gives: run `amends docs`")
        raise SystemExit(1 if stale else 0)
    for path, text in generated():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    click.echo(f"{len(stale)} files changed")


def generated() -> Iterator[tuple[str, str]]:
    """(path in the checkout, content) of each generated file."""
    for ce_type, model in sorted(MESSAGES.items()):
        yield f"schemas/published/{ce_type}.json", json.dumps(json_schema(model), indent=2, sort_keys=True) + "\n"
    yield (
        "schemas/published/asyncapi.yaml",
        yaml.safe_dump(async_api(version=version("amends")), sort_keys=False, allow_unicode=True, width=110),
    )
    yield "docs/lifecycle.md", lifecycle_page()
    yield "docs/settings.md", settings_page()
    yield "docs/metrics.md", metrics_page()
    yield "docs/rights.md", rights.page()


def lifecycle_page() -> str:
    """What each command leads to in each state, as a Markdown table."""
    return f"""# The life of a ticket

What each command leads to in each state; a dot is a refusal, which says why and what is possible instead. *same* leaves
the state as it is, *earlier* returns to the one that waiting interrupted, *proposed* leads where the command leads that
had to be approved. The table is `schemas/lifecycle.py`; what a ticket's own history forbids beside it is in
`schemas/ticket.py`, amounts, windows and the chain of approval are in `deploy/policies/handling.yaml`.

{lifecycle.table()}
"""


def settings_page() -> str:
    """The settings of every service as Markdown tables."""
    lines = ["# Settings", "", "Environment variables. A wrong one stops the start and every problem is told at once."]
    shared = {name for name, _, _ in table(RuntimeSettings)}
    for module, name, title in SETTINGS:
        kind: type[RuntimeSettings] = getattr(importlib.import_module(module), name)
        rows = [row for row in table(kind) if kind is RuntimeSettings or row[0] not in shared]
        if rows:
            lines += ["", f"## {title}", "", "| Variable | Default | Meaning |", "|---|---|---|"]
            for variable, default, meaning in rows:
                lines.append(f"| `{variable}` | {f'`{default}`' if default else ''} | {meaning} |")
    lines += ["", "## On one machine", "", "| Variable | Default | Meaning |", "|---|---|---|"]
    lines += [f"| `{variable}` | `{default}` | {meaning} |" for variable, default, meaning in ON_ONE_MACHINE]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric as a Markdown table."""
    lines = ["# Metrics", "", "Every service answers `GET /metrics`. Times are in seconds, counts end in `_total`."]
    for name, kind in vars(metrics).items():
        if isinstance(kind, type) and name.endswith("Metrics"):
            registry = CollectorRegistry()
            kind(registry)
            lines += ["", f"## {(kind.__doc__ or name).strip().splitlines()[0]}", ""]
            lines += ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
            for collector in registry._collector_to_names:  # noqa: SLF001  # the library lists metrics without samples nowhere else
                family = next(iter(collector.describe()), None) if hasattr(collector, "describe") else None
                if family is not None:
                    shown = family.name + ("_total" if family.type == "counter" else "")
                    labels = ", ".join(getattr(collector, "_labelnames", ()))
                    lines.append(f"| `{shown}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines) + "\n"
