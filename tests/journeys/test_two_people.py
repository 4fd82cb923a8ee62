"""Two people at the desk at once."""

import sys
from collections.abc import Callable

from playwright.sync_api import expect

from tests.journeys.browsing import Browsing, Colleague
from tests.journeys.network import AGENT, COLLEAGUE, Network

SEEN = """selector => {
  const look = () => { const found = document.querySelector(selector); return found && found.offsetParent !== null; };
  window.seenAt = new Promise(resolve => {
    const watch = new MutationObserver(() => { if (look()) { watch.disconnect(); resolve(Date.now()); } });
    watch.observe(document.body, { subtree: true, childList: true, attributes: true });
  });
}"""
"""Note in the page when something appears: to the millisecond, whenever it is asked for."""


def test_who_comes_second_is_told_and_loses_nothing(browsing: Browsing, network: Network) -> None:
    """What changed stands there with who did it, all that was typed is still there, and sending it again does it."""
    number = network.complain("Parcel SF1000000000301 came soaked.", phone="+8613800000301")
    agent, colleague = browsing.staff(AGENT), browsing.staff(COLLEAGUE)
    agent.open(number)
    agent.begin("record_findings")
    typed = {"cause": "packaging", "whys": "Rain.\nNo foil.", "text": "The outlet has sent photos."}
    agent.fill(**typed)
    colleague.open(number)
    colleague.act("wait_for_third_party", whom="insurer")

    agent.send()
    told = agent.page.get_by_role("alert")
    expect(told).to_contain_text("The ticket changed while you were typing")
    expect(told).to_contain_text("Waiting for: Insurer.")
    expect(told).to_contain_text(f"by {COLLEAGUE}")
    expect(told).to_be_focused()
    for name, value in typed.items():
        expect(agent.page.locator(f"form.command [name='{name}']")).to_have_value(value)
    agent.send()
    agent.sees("Done: Record findings")
    agent.sees("No foil.")


def test_a_command_is_seen_by_others_at_once(
    browsing: Browsing, network: Network, record_property: Callable[[str, object], None]
) -> None:
    """In the queue and on the open ticket of a colleague it shows without a reload; nothing moves under the pointer."""
    numbers = [
        network.complain(f"Parcel SF10000000004{n:02} came soaked.", phone=f"+861380000040{n}") for n in range(3)
    ]
    agent, colleague = browsing.staff(AGENT), browsing.staff(COLLEAGUE)
    for number in numbers:
        agent.open(number)
    reader = Colleague(colleague.page.context.new_page(), network, colleague.say.language)
    reader.open(numbers[1])
    line = colleague.line("/queue?q=SF10000000004", numbers[1])
    for someone in (colleague, reader):
        expect(someone.page.locator("[data-live]")).to_have_text("Live")
    line.get_by_role("link").hover()
    reader.page.get_by_role("link", name="Answer", exact=True).hover()
    before = [_places(colleague), _places(reader)]
    colleague.page.evaluate(SEEN, "tr.is-changed")
    reader.page.evaluate(SEEN, "[data-ticket-changed]")

    agent.open(numbers[1])
    agent.begin("wait_for_third_party")
    agent.fill(whom="insurer")
    sent_at = agent.page.evaluate("Date.now()")
    agent.send()
    expect(line).to_contain_text("Waiting for a third party")
    expect(line).to_contain_text("changed")
    expect(reader.page.locator("[data-ticket-changed]")).to_be_visible()
    for where, someone in (("the queue", colleague), ("an open ticket", reader)):
        took_ms = someone.page.evaluate("window.seenAt") - sent_at
        record_property(f"seen on {where} after ms", took_ms)
        sys.stderr.write(f"\nA command was seen on {where} after {took_ms} ms.")
    assert [_places(colleague), _places(reader)] == before
    reader.page.locator("[data-ticket-changed]").click()
    reader.sees("Waiting for: Insurer.")


def _places(someone: Colleague) -> list[float]:
    """Where everything stands that can be pressed."""
    return someone.page.evaluate(
        """() => [...document.querySelectorAll("main :is(a, button, input):not([data-ticket-changed], [data-changed])")]
        .map(e => e.getBoundingClientRect().top)"""
    )
