"""An outlet sees its own tickets alone."""

from playwright.sync_api import expect

from tests.journeys.browsing import Browsing
from tests.journeys.network import OTHER_OUTLET, OUTLET, Network


def test_another_outlet_finds_no_such_ticket(browsing: Browsing, network: Network) -> None:
    """By its address, by search, by the queue and by the API: for them it is not there, and nothing says that it is."""
    text = "Parcel SF1000000000201 arrived soaked at outlet NET-1001, the tea is spoiled. Please compensate me."
    number = network.complain(text, phone="+8613800000201")
    owner = browsing.staff(OUTLET)
    owner.open(number)
    ticket = owner.page.locator("body").get_attribute("data-ticket")

    other = browsing.staff(OTHER_OUTLET)
    for path in (f"/tickets/{number}", f"/tickets/{ticket}", f"/tickets/{number}/do/add_note"):
        assert other.go(path) == 404, path
        other.sees("There is no such ticket")
    assert other.go("/tickets/2611-999999-9") == 404
    other.sees("There is no such ticket")

    for wanted in (number, "SF1000000000201"):
        other.go("/queue")
        other.page.locator("#q").fill(wanted)
        other.page.keyboard.press("Enter")
        expect(other.page.locator("main")).to_contain_text("No ticket matches.")
    for path in (f"/v1/tickets/{number}", f"/v1/tickets/{ticket}", f"/v1/tickets/{ticket}/events"):
        assert other.page.request.get(f"{network.desk}{path}").status == 404, path
    listed = other.page.request.get(f"{network.desk}/v1/tickets?standing=any").json()["tickets"]
    assert number not in {one["number"] for one in listed}
