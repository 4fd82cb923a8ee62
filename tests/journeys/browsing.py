"""Browsers of people: each in a context of its own, all of them watched for what a page does wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, Response, expect

from schemas.codes import Language
from services.desk.wording import Speaker
from tests.journeys.network import PATIENCE_S, Network, until

DESKTOP: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 375, "height": 740},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
_TOLD = (
    "addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
)
_EXPECTED = "Failed to load resource: the server responded with a status of 4"
"""A page that says what was wrong with a form has such a status; browsers note it."""

expect.set_options(timeout=PATIENCE_S * 1000)


def chrome(playwright: Playwright, program: Path) -> Browser:
    """Chromium without a window."""
    # The sandbox of Chromium wants rights that root in a container has not.
    return playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--force-color-profile=srgb"])


class Browsing:
    """Opens browsers, and knows what went wrong in any of them."""

    def __init__(self, browser: Browser, network: Network, *, states: dict[str, Any] | None = None) -> None:
        """`states` keeps who is signed in, from one browsing to the next."""
        self.network = network
        self.wrong: list[str] = []
        self._browser = browser
        self._states = {} if states is None else states
        self._contexts: list[BrowserContext] = []

    def page(self, device: Mapping[str, Any] = DESKTOP, **options: Any) -> Page:
        """A page of a new browser, as Playwright's `new_context` makes it."""
        context = self._browser.new_context(**{"locale": "en-GB", **device, **options})
        context.set_default_timeout(PATIENCE_S * 1000)
        context.add_init_script(_TOLD)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        context.on("response", self._response)
        self._contexts.append(context)
        return context.new_page()

    def staff(
        self, account: str, device: Mapping[str, Any] = DESKTOP, *, language: Language = Language.EN, **options: Any
    ) -> "Colleague":
        """Somebody at the desk, signed in, where work begins."""
        page = self.page(device, storage_state=self._states.get(account), **options)
        someone = Colleague(page, self.network, language)
        page.goto(self.network.desk)
        if "/sign-in" in page.url:
            someone.sign_in(account)
        self._states[account] = page.context.storage_state()
        if page.locator("html").get_attribute("lang") != someone.lang:
            page.locator("form[action='/language'] button").click()
            expect(page.locator("html")).to_have_attribute("lang", someone.lang)
        return someone

    def close(self) -> None:
        """Close all of them."""
        for context in self._contexts:
            context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_EXPECTED):
            self.wrong.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} of {response.request.method} {response.url}")


class Colleague:
    """Somebody who works at the desk, and the one page that is open."""

    def __init__(self, page: Page, network: Network, language: Language) -> None:
        self.page = page
        self.network = network
        self.say = Speaker(language)
        self.lang = "zh-CN" if language is Language.ZH else "en"

    def sign_in(self, account: str) -> None:
        """By name and password."""
        self.page.locator("#f-name").fill(account)
        self.page.locator("#f-password").fill(self.network.passwords[account])
        self.page.locator("form button.main").click()
        expect(self.page.locator("form[action='/sign-out']")).to_be_visible()

    def go(self, path: str) -> int:
        """Open an address; its status."""
        answer = self.page.goto(f"{self.network.desk}{path}")
        assert answer
        return answer.status

    def open(self, number: str) -> None:
        """Open a ticket, once the desk has heard of it."""
        until(lambda: self.go(f"/tickets/{number}") == 200, f"ticket {number} at the desk")

    def line(self, path: str, number: str) -> Locator:
        """The line of a ticket in a list, once it stands there."""
        line = self.page.get_by_role("row").filter(has_text=number)
        until(lambda: self.go(path) == 200 and line.count(), f"{number} on {path}")
        return line

    def begin(self, command: str) -> None:
        """From the ticket's page to the form of a command, by its button."""
        self.page.get_by_role("link", name=self.say.word("command", command), exact=True).click()
        expect(self.page.locator("form.command")).to_be_visible()

    def fill(self, **fields: str) -> None:
        """Fill in the form by the names of its fields."""
        for name, value in fields.items():
            field = self.page.locator(f"form.command [name='{name}']").first
            kind = field.evaluate("e => e.type")
            if kind == "radio":
                self.page.locator(f"form.command [name='{name}'][value='{value}']").check()
            elif kind == "checkbox":
                field.check()
            elif kind == "select-one":
                field.select_option(value)
            else:
                field.fill(value)

    def send(self) -> None:
        """Send the form."""
        self.page.locator("form.command button.main").click()

    def act(self, command: str, *, decider: str = "", **fields: str) -> None:
        """Give a command from the ticket's page, and see that it was done, or for whose approval it waits."""
        self.begin(command)
        self.fill(**fields)
        self.send()
        said = self.say.word("command", command)
        if decider:
            self.sees(self.say.page("waits", command=said, who=self.say.word("staff_role", decider)))
        else:
            self.sees(self.say.page("done", command=said))

    def sees(self, text: str) -> None:
        """The text stands on the page."""
        expect(self.page.locator("main")).to_contain_text(text)
