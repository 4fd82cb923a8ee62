"""Every page of desk and portal: usable by everybody, at any width, in both languages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from schemas.codes import Language, StaffRole
from services.desk.forms import FORMS
from services.desk.person import Person
from services.desk.rights import may_somewhere
from tests.journeys.browsing import PHONE, Browsing, Colleague
from tests.journeys.exploring import PEOPLE, explored
from tests.journeys.inspection import inspected, untranslated
from tests.journeys.network import AGENT, MANAGER, SUPERVISOR, Network

PORTAL_BYTES_MAX = 50_000


@pytest.fixture(scope="module")
def tickets(network: Network, browser: Any, states: dict[str, Any]) -> list[str]:
    """Three, so that no page is empty: one waits for a review, one for an approval, one for its unit."""
    broken = "Parcel SF10000000007{n} arrived broken, I want my money back, or my lawyer will write to you."
    soaked = "Parcel SF1000000000703 arrived soaked at outlet NET-1001, the tea is spoiled. Please compensate me."
    numbers = [network.complain(broken.format(n=n), phone=f"+86138000007{n}") for n in ("01", "02")]
    numbers.append(network.complain(soaked, phone="+8613800000703"))
    browsing = Browsing(browser, network, states=states)
    agent = browsing.staff(AGENT)
    for number in numbers:
        agent.open(number)
    agent.act("answer", decider="supervisor", remedy="compensation", amount="1500", for_customer="We are sorry.")
    agent.open(numbers[1])
    agent.act("start_review")
    browsing.close()
    return numbers


@pytest.mark.parametrize("language", list(Language))
def test_every_page_of_the_desk(browsing: Browsing, tickets: list[str], language: Language) -> None:
    """What each role's menu leads to has no fault that axe-core finds, fits a phone, and says all in one language."""
    wrong, seen = [], set[str]()
    for role, account in PEOPLE.items():
        someone = browsing.staff(account, language=language)
        for address in explored(someone, role, seen):
            status = someone.go(address)
            if status != 200:
                wrong.append(f"{role} {address}: {status}")
            # How a page is laid out does not depend on its language.
            found = inspected(someone.page) if language is Language.EN else untranslated(someone.page)
            wrong += [f"{role} {address}: {what}" for what in found]
    assert not wrong, "\n".join(dict.fromkeys(wrong))
    assert len(seen) > 10


@pytest.mark.parametrize("language", list(Language))
def test_the_form_of_every_command(browsing: Browsing, tickets: list[str], language: Language) -> None:
    """The same holds for them, also where this person or this ticket may not and the page says so."""
    someone, wrong, makes = browsing.staff(MANAGER, language=language), [], set[object]()
    for command, form in FORMS.items():
        if not may_somewhere(Person(id=MANAGER, name=MANAGER, role=StaffRole.CENTRE_MANAGER), command):
            continue
        status = someone.go(f"/tickets/{tickets[1]}/do/{command}")
        # Forms with fields of the same kinds are built alike.
        make = (frozenset(field.kind for field in form.fields), bool(form.reasons), form.whys, form.is_heard)
        is_new = language is Language.EN and make not in makes
        makes.add(make)
        found = inspected(someone.page) if is_new else untranslated(someone.page)
        wrong += [] if status in (200, 403, 409) else [f"{command}: {status}"]
        wrong += [f"{command}: {what}" for what in found]
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_pages_that_a_form_leads_to(browsing: Browsing, network: Network, tickets: list[str]) -> None:
    """The same holds for the door, what is refused, forms with mistakes, and what is opened with a reason."""
    stranger = Colleague(browsing.page(), network, Language.EN)
    stranger.go("/sign-in?language=en")
    wrong = _named("door", stranger.page)
    stranger.page.locator("#f-name").fill("nobody")
    stranger.page.locator("#f-password").fill("wrong")
    stranger.page.keyboard.press("Enter")
    stranger.sees("Name or password is wrong")
    wrong += _named("door that stays closed", stranger.page)

    someone = browsing.staff(SUPERVISOR)
    someone.go("/tickets/2611-999999-9")
    wrong += _named("no such ticket", someone.page)
    someone.open(tickets[2])
    someone.page.get_by_role("button", name="Show the words").click()
    someone.sees("the tea is spoiled")
    wrong += _named("words", someone.page)
    someone.page.get_by_label("Why you look").fill("To call back.")
    someone.page.get_by_role("button", name="Show the contact").click()
    someone.sees("13800000703")
    wrong += _named("contact", someone.page)
    someone.open(tickets[2])
    someone.begin("share_liability")
    someone.fill(shares="NET-1001 50")
    someone.send()
    expect(someone.page.get_by_role("alert")).to_be_focused()
    wrong += _named("form with a mistake", someone.page)
    someone.go("/new")
    someone.page.locator("form[action='/new'] button.main").click()
    expect(someone.page.get_by_role("alert")).to_be_focused()
    wrong += _named("intake form with mistakes", someone.page)
    someone.go("/queue")
    someone.page.locator("summary").first.click()
    wrong += _named("filters", someone.page)
    someone.page.get_by_role("button", name="Keyboard shortcuts").click()
    wrong += _named("help", someone.page)
    someone.go("/queue")
    someone.page.locator("#bulk button.main").click()
    someone.sees("No ticket was selected.")
    wrong += _named("nothing selected", someone.page)
    assert not wrong, "\n".join(dict.fromkeys(wrong))


@pytest.mark.parametrize("language", list(Language))
def test_every_page_of_the_portal(browsing: Browsing, network: Network, tickets: list[str], language: Language) -> None:
    """The form, what follows it, and the private page, empty and with mistakes."""
    page, wrong = browsing.page(PHONE), []
    page.goto(f"{network.portal}/?lang={language}")
    wrong += _named("form", page)
    page.locator("form button").last.click()
    expect(page.locator("#problems")).to_be_focused()
    wrong += _named("form with mistakes", page)
    page.goto(f"{network.portal}/t/nobody.knows?lang={language}")
    wrong += _named("no link", page)
    private = network.link("+8613800000703", "Follow it")
    page.goto(f"{private}?lang={language}")
    wrong += _named("private page", page)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    wrong += _named("private page with all forms", page)
    page.locator("details#add button").last.click()
    expect(page.locator("#problems")).to_be_focused()
    wrong += _named("private page with mistakes", page)
    assert not wrong, "\n".join(dict.fromkeys(wrong))


@pytest.mark.parametrize("where", ["form", "private page"])
def test_the_portal_is_light(browsing: Browsing, network: Network, tickets: list[str], where: str) -> None:
    """With style, script and icon a page takes less than 50 kB on a phone that has seen none of it before."""
    page, taken = browsing.page(PHONE), []
    page.on("requestfinished", lambda request: taken.append(request.sizes()))
    page.goto(f"{network.portal}/" if where == "form" else network.link("+8613800000703", "Follow it"))
    page.wait_for_load_state("networkidle")
    kinds = ("responseHeadersSize", "responseBodySize", "requestHeadersSize", "requestBodySize")
    assert 0 < sum(size[kind] for size in taken for kind in kinds) < PORTAL_BYTES_MAX


def test_the_form_is_for_a_phone(browsing: Browsing, network: Network, tmp_path: Path) -> None:
    """Its fields bring up the right keyboard and are tall enough to be hit, and what was typed outlives a reload."""
    page = browsing.page(PHONE)
    page.goto(f"{network.portal}/?lang=en")
    expect(page.get_by_label("Mobile number")).to_have_attribute("inputmode", "tel")
    for field in page.locator("input:visible, textarea:visible, select:visible, main button:visible:not(.plain)").all():
        box = field.bounding_box()
        assert box
        assert box["height"] >= 44, field
    page.get_by_label("What happened?").fill("The driver threw it over the fence.")
    page.reload()
    expect(page.get_by_label("What happened?")).to_have_value("The driver threw it over the fence.")


def _named(what: str, page: Page) -> list[str]:
    return [f"{what}: {found}" for found in _faults(page)]


def _faults(page: Page) -> Iterator[str]:
    # A script may still be at work on what has just come.
    page.wait_for_load_state()
    yield from inspected(page)
