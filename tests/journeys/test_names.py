"""Who assigns a ticket types what people call an outlet."""

from playwright.sync_api import expect

from tests.journeys.browsing import Browsing
from tests.journeys.network import SUPERVISOR, Network


def test_an_outlet_is_found_by_its_name(browsing: Browsing, network: Network) -> None:
    """The field offers the code beside the name, and the ticket then says the name."""
    number = network.complain("Parcel SF1000000000881 arrived broken. Please compensate me.", phone="+8613800000881")
    someone = browsing.staff(SUPERVISOR)
    someone.open(number)
    someone.begin("assign")
    someone.page.locator("#f-unit").press_sequentially("浦东")
    expect(someone.page.locator('#f-unit-names option[value="NET-1001"]')).to_have_text("上海浦东网点")
    someone.fill(department="outlets", unit="NET-1001")
    someone.send()
    someone.sees("上海浦东网点")
    someone.sees("网点管理部")
