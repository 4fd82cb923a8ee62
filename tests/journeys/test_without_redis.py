"""Redis may vanish: pages say what that means, and go on."""

from playwright.sync_api import expect

from tests.journeys.browsing import Browsing
from tests.journeys.network import AGENT, COLLEAGUE, Network


def test_pages_go_on_without_redis(browsing: Browsing, network: Network) -> None:
    """The page says that it polls and shows what others do all the same; when Redis is back it is live again."""
    number = network.complain("Parcel SF1000000000501 came soaked.", phone="+8613800000501")
    agent, colleague = browsing.staff(AGENT), browsing.staff(COLLEAGUE)
    agent.open(number)
    line = colleague.line("/queue?q=SF1000000000501", number)
    live = colleague.page.locator("[data-live]")
    expect(live).to_have_text("Live")
    with network.without_redis():
        expect(live).to_contain_text("Looking for changes every second")
        agent.act("wait_for_third_party", whom="customs")
        expect(line).to_contain_text("Waiting for a third party")
        assert network.complain("Parcel SF1000000000502 came soaked.", phone="+8613800000502") != number
    expect(live).to_have_text("Live")
    agent.act("resume")
    expect(line).to_contain_text("Investigating")
