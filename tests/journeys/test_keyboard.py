"""Without a mouse."""

from playwright.sync_api import Page, expect

from tests.journeys.browsing import Browsing, Colleague
from tests.journeys.network import AGENT, Network

PRESSES_MAX = 150


def test_work_needs_no_mouse(browsing: Browsing, network: Network) -> None:
    """Sign in, open the first ticket of the queue, choose a command and give it, by keys alone."""
    network.complain("Parcel SF1000000000601 came soaked.", phone="+8613800000601")
    page = browsing.page()
    someone = Colleague(page, network, browsing.staff(AGENT).say.language)
    someone.go("/sign-in?language=en")
    expect(page.locator("#f-name")).to_be_focused()
    page.keyboard.type(AGENT)
    page.keyboard.press("Tab")
    page.keyboard.type(network.passwords[AGENT])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Queue")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("j")
    first = page.locator("table.queue tbody a.open").first
    expect(first).to_be_focused()
    number = first.inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(number)
    _tab_to(page, "Add a note")
    page.keyboard.press("Enter")
    expect(page.locator("form.command")).to_be_visible()
    _tab_to(page, "Note (for colleagues only) required")
    page.keyboard.type("Called back, nobody answered.")
    _tab_to(page, "Add a note")
    page.keyboard.press("Enter")
    someone.sees("Done: Add a note")
    someone.sees("Called back, nobody answered.")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until something of this name has the focus, and can be seen to have it."""
    for _ in range(PRESSES_MAX):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        named = focused.evaluate("e => e.labels?.length ? e.labels[0].innerText : e.innerText")
        if named.strip() == name:
            assert focused.evaluate("e => getComputedStyle(e).outlineStyle !== 'none'"), f"{name} shows no focus"
            return
    raise AssertionError(f"{name} is not reached by Tab")
