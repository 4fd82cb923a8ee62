"""Working time: `businesstimedelta` against Amends' calendar."""

import json
import subprocess

from tests.peers.environment import ROOT, environment, python_of, version_of
from tests.peers.report import Comparison, Row

COUNT = 10_000
SLICES = 5


def compare() -> Comparison:
    """Add 1 to 40 working hours to random instants of three years."""
    ran = subprocess.run(
        [python_of("businesstimedelta"), "-m", "tests.peers.programs.working_time", str(COUNT), str(SLICES)],
        cwd=ROOT, env=environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(ran.stdout)
    name = version_of("businesstimedelta", "businesstimedelta")
    rows = []
    for label, key, ours in (("Amends", "ours", True), (name, "peer", False)):
        rows.append(Row(label, tuple(found["with"][key]), ours=ours, aim=None if ours else 20))
    plain = [sorted(found["without"][key])[len(found["without"][key]) // 2] for key in ("peer", "ours")]
    return Comparison(
        title="Working time",
        unit="us per addition",
        rows=tuple(rows),
        less_is_better=True,
        fairness=f"""
            {COUNT:,} random instants of three years, 1 to 40 working hours added to each: Monday to Friday 9:00 to
            12:00 and 13:30 to 18:00 in Berlin, with the country's public holidays. Both count in one process, by turns,
            in {SLICES} slices; processor time. Of the results, {found["agree"]:,} of {found["of"]:,} are the same
            instant.{_differences(found["other"])}

            In the peer's favour: its holidays are a set; with the list that its documentation shows each search takes
            longer. Amends reads the years it is asked about once, before the first round. Without holidays, which the
            peer looks for day by day, it takes {plain[0]:,.0f} us and Amends {plain[1]:,.1f} us,
            {plain[0] / plain[1]:,.0f} times less.
        """,
    )


def _differences(other: list[list[str]]) -> str:
    return "".join(f" {at} + {hours} h: {peer} there, {ours} here." for at, hours, peer, ours in other)
