"""The dashboards, as code: `python -m deploy.grafana.dashboards` writes the JSON that Grafana loads."""

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from grafanalib._gen import write_dashboard
from grafanalib.core import Dashboard, GridPos, Stat, Target, Templating, TimeSeries

FOLDER: Final = Path(__file__).parent / "dashboards"
WIDTH: Final = 24
HEIGHT: Final = 8

Shown = Sequence[tuple[str, str]]
"""(PromQL, legend) of each line of a panel."""


def lines(title: str, *shown: tuple[str, str], unit: str = "short", stack: bool = False) -> TimeSeries:
    """A panel over time."""
    return TimeSeries(
        title=title,
        dataSource="prometheus",
        unit=unit,
        targets=_targets(shown),
        stacking={"mode": "normal" if stack else "none"},
        fillOpacity=20 if stack else 0,
    )


def number(title: str, expression: str, *, unit: str = "short", bad_from: float | None = None) -> Stat:
    """One figure, red from a threshold on."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if bad_from is not None:
        steps.append({"color": "red", "value": bad_from})
    return Stat(
        title=title,
        dataSource="prometheus",
        targets=_targets([(expression, "")]),
        format=unit,
        thresholds=steps,
        reduceCalc="lastNotNull",
    )


def time_limits() -> Dashboard:
    """Are promises kept: what is open, what broke and where, and how long customers wait for a word."""
    return _dashboard(
        "Amends: time limits",
        "amends-sla",
        [
            [
                number("Clocks that run", 'sum(amends_sla_clocks_open{state="running"})'),
                number("Broken and still open", 'sum(amends_sla_clocks_open{state="breached"})', bad_from=1),
                number("Breaches, last hour", "sum(increase(amends_sla_breached_total[1h]))", bad_from=1),
                number("Confirmation, p95", "amends_sla_acknowledge_seconds:p95_5m", unit="s", bad_from=300),
            ],
            [
                lines("Open by clock", ("sum by (clock) (amends_sla_clocks_open)", "{{clock}}"), stack=True),
                lines("Breaches a second by clock", ("clock:amends_sla_breached:rate5m", "{{clock}}")),
                lines(
                    "On time in the last hour", ("clock:amends_sla_on_time:ratio1h", "{{clock}}"), unit="percentunit"
                ),
            ],
            [
                lines(
                    "Breaches by department, 15 min",
                    ("sum by (department) (increase(amends_sla_breached_total[15m]))", "{{department}}"),
                    stack=True,
                ),
                lines(
                    "Breaches by category, 15 min",
                    ("sum by (category) (increase(amends_sla_breached_total[15m]))", "{{category}}"),
                    stack=True,
                ),
                lines(
                    "Warnings by department, 15 min",
                    ("sum by (department) (increase(amends_sla_warned_total[15m]))", "{{department}}"),
                    stack=True,
                ),
            ],
            [
                lines(
                    "From complaint to confirmation",
                    (_quantile(0.5, "amends_notification_handed_over_seconds"), "handed over, median"),
                    (_quantile(0.99, "amends_notification_handed_over_seconds"), "handed over, p99"),
                    (_quantile(0.99, "amends_notification_delivered_seconds"), "delivered, p99"),
                    unit="s",
                ),
                lines(
                    "Messages a second",
                    ("sum by (moment, result) (rate(amends_notifications_total[1m]))", "{{moment}} {{result}}"),
                ),
                lines(
                    "Channels that failed, 15 min",
                    (
                        "sum by (channel, why) (increase(amends_notification_channel_failures_total[15m]))",
                        "{{channel}}: {{why}}",
                    ),
                ),
                lines(
                    "Tickets that wait for a person", ("sum by (department) (amends_router_waiting)", "{{department}}")
                ),
            ],
        ],
    )


def pipeline() -> Dashboard:
    """Is the system itself well: what comes in, what waits, what failed, how late deadlines are."""
    return _dashboard(
        "Amends: pipeline",
        "amends-pipeline",
        [
            [
                number("Accepted a second", "amends_intake_accepted:rate1m"),
                number("Messages waiting", "sum(service_topic:amends_consumed_backlog:sum)", bad_from=5000),
                number("Dead letters, 5 min", "sum(topic:amends_dead_letters:increase5m)", bad_from=1),
                number("Deadlines later than 1 s, 5 min", "sum(service:amends_deadlines_late:increase5m)", bad_from=1),
            ],
            [
                lines(
                    "Complaints a second",
                    ("sum by (channel) (rate(amends_intake_accepted_total[1m]))", "accepted, {{channel}}"),
                    ("sum by (why) (rate(amends_intake_rejected_total[1m]))", "refused, {{why}}"),
                    ("sum(rate(amends_intake_unavailable_total[1m]))", "503"),
                ),
                lines(
                    "What became of them, a second",
                    ("sum by (category) (rate(amends_router_tickets_opened_total[1m]))", "ticket, {{category}}"),
                    ("sum(rate(amends_router_follow_ups_total[1m]))", "follow-up"),
                    stack=True,
                ),
                lines(
                    "Waiting by topic",
                    ("service_topic:amends_consumed_backlog:sum", "{{service}} on {{topic}}"),
                ),
            ],
            [
                lines(
                    "Intake, request to answer",
                    (_quantile(0.5, "amends_intake_request_seconds"), "median"),
                    (_quantile(0.99, "amends_intake_request_seconds"), "p99"),
                    unit="s",
                ),
                lines(
                    "Batches, start to end",
                    (_quantile(0.99, "amends_consumed_batch_seconds", "service"), "p99, {{service}}"),
                    unit="s",
                ),
                lines(
                    "Broker, publish to acknowledgement",
                    (_quantile(0.99, "amends_publish_seconds", "service"), "p99, {{service}}"),
                    unit="s",
                ),
            ],
            [
                lines(
                    "Deadlines, lateness",
                    ("service:amends_deadline_lateness_seconds:p99_5m", "p99, {{service}}"),
                    unit="s",
                ),
                lines(
                    "Retries because a part was away",
                    ("sum by (service) (rate(amends_consumed_batch_retries_total[1m]))", "batches, {{service}}"),
                    ("sum by (service) (rate(amends_deadlines_retries_total[1m]))", "deadlines, {{service}}"),
                    ("sum by (service) (rate(amends_publish_failures_total[1m]))", "publishing, {{service}}"),
                ),
                lines(
                    "Partitions owned",
                    ("sum by (service) (amends_consumed_partitions)", "{{service}}"),
                ),
            ],
        ],
    )


def desk_and_portal() -> Dashboard:
    """Can people work, and are complainants let in: how new and how fast pages are, what fails, who is put off."""
    return _dashboard(
        "Amends: desk and portal",
        "amends-desk-portal",
        [
            [
                number("Desk behind, p95", "amends_desk_lag_seconds:p95_5m", unit="s", bad_from=5),
                number(
                    "Desk, share that fails",
                    "max(surface:amends_desk_failed:ratio5m)",
                    unit="percentunit",
                    bad_from=0.01,
                ),
                number("Portal, share that fails", "amends_portal_failed:ratio5m", unit="percentunit", bad_from=0.01),
                number("Browsers that listen", "sum(amends_desk_listeners)"),
                number("Desks that do not hear of changes at once", "count(amends_desk_is_live == 0)", bad_from=1),
            ],
            [
                lines(
                    "Desk, request to answer",
                    (_quantile(0.5, "amends_desk_request_seconds", "surface"), "median, {{surface}}"),
                    (_quantile(0.95, "amends_desk_request_seconds", "surface"), "p95, {{surface}}"),
                    unit="s",
                ),
                lines(
                    "Questions to the database, p95", ("kind:amends_desk_query_seconds:p95_5m", "{{kind}}"), unit="s"
                ),
                lines(
                    "Answers of the desk a second",
                    (
                        "sum by (surface, status) (rate(amends_desk_request_seconds_count[1m]))",
                        "{{surface}} {{status}}",
                    ),
                ),
            ],
            [
                lines(
                    "Sign-ins put off, 15 min",
                    (
                        'sum by (surface) (increase(amends_desk_request_seconds_count{status="429"}[15m]))',
                        "{{surface}}",
                    ),
                ),
                lines(
                    "From Kafka to the desk",
                    (_quantile(0.5, "amends_desk_lag_seconds"), "median"),
                    (_quantile(0.99, "amends_desk_lag_seconds"), "p99"),
                    unit="s",
                ),
                lines(
                    "Notices of changes a second",
                    ("sum by (result) (rate(amends_desk_notices_total[1m]))", "{{result}}"),
                    ("sum(rate(amends_desk_refreshes_total[1m]))", "told to load anew"),
                ),
            ],
            [
                lines(
                    "Public form a second", ("sum by (result) (rate(amends_portal_complaints_total[1m]))", "{{result}}")
                ),
                lines(
                    "Actions on private pages a second",
                    ("sum by (act, result) (rate(amends_portal_actions_total[1m]))", "{{act}}: {{result}}"),
                ),
                lines(
                    "Links that opened nothing, 15 min",
                    ("sum by (why) (increase(amends_portal_links_refused_total[15m]))", "{{why}}"),
                ),
                lines(
                    "Portal, request to page",
                    (_quantile(0.95, "amends_portal_request_seconds", "page"), "p95, {{page}}"),
                    unit="s",
                ),
            ],
        ],
    )


DASHBOARDS: Final = MappingProxyType(
    {"desk-and-portal": desk_and_portal, "pipeline": pipeline, "time-limits": time_limits}
)
"""Each by the name of its file."""


def rendered(name: str) -> str:
    """The JSON of one dashboard."""
    text = StringIO()
    write_dashboard(DASHBOARDS[name]().auto_panel_ids(), text)
    return json.dumps(json.loads(text.getvalue()), indent=1, sort_keys=True) + "\n"


def _dashboard(title: str, uid: str, rows: Sequence[Sequence[Any]]) -> Dashboard:
    panels = []
    for y, row in enumerate(rows):
        width = WIDTH // len(row)
        for x, panel in enumerate(row):
            panel.gridPos = GridPos(h=HEIGHT, w=width, x=x * width, y=y * HEIGHT)
            panels.append(panel)
    return Dashboard(
        title=title, uid=uid, refresh="5s", tags=["amends"], timezone="browser", panels=panels, templating=Templating()
    )


def _quantile(share: float, metric: str, *by: str) -> str:
    return f"histogram_quantile({share}, sum by ({', '.join([*by, 'le'])}) (rate({metric}_bucket[5m])))"


def _targets(shown: Shown) -> list[Target]:
    return [
        Target(expr=expression, legendFormat=legend, refId=chr(ord("A") + n))
        for n, (expression, legend) in enumerate(shown)
    ]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard}.json").write_text(rendered(dashboard))
