"""`make screenshots`: pictures of desk and portal at work, for docs/images/."""

import tempfile
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import click
import yaml
from playwright.sync_api import Page, sync_playwright

from deploy.local.chromium import chromium
from schemas.codes import Language
from tests.journeys.browsing import DESKTOP, PHONE, Browsing, chrome
from tests.journeys.network import AGENT, COLLEAGUE, OUTLET, SUPERVISOR, Network, network

FOLDER = Path(__file__).parents[2] / "docs" / "images"
BYTES_MAX = 200_000
LIGHT, DARK = {**DESKTOP, "color_scheme": "light"}, {**DESKTOP, "color_scheme": "dark"}
BROKEN = "包裹 SF1000000000901 里的玻璃花瓶碎了，箱子被压扁，网点 NET-1001 的派送员扔下就走。要求赔偿，否则我找律师。"
SOAKED = "Parcel SF1000000000902 arrived soaked at outlet NET-1001, the tea inside is spoiled. Please compensate me."


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, help="Where the pictures go.")
def main(folder: Path) -> None:
    """Start everything, let some people work, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, network(Path(place) / "run") as there, sync_playwright() as playwright:
        browsing = Browsing(chrome(playwright, chromium()), there)
        numbers = _busy(there)
        _work(browsing, *numbers)
        _pictures(browsing, there, folder, *numbers)
        browsing.close()


def _busy(there: Network) -> tuple[str, str]:
    """A queue of complaints of the last days; the numbers of two of them."""
    texts = yaml.safe_load(resources.files("services.cli").joinpath("demo_texts.yaml").read_text("utf-8"))
    now = datetime.now(UTC)
    for n, one in enumerate(texts):
        there.complain(
            one["text"].format(waybill=f"SF20000000009{n:02}"),
            phone=f"+8613900000{n:03}",
            language=one["lang"],
            received_at=(now - timedelta(hours=3.4 * n)).isoformat(),
        )
    broken = there.complain(BROKEN, phone="+8613900000901", language="zh")
    return broken, there.complain(SOAKED, phone="+8613900000902")


def _work(browsing: Browsing, broken: str, soaked: str) -> None:
    agent, outlet = browsing.staff(AGENT), browsing.staff(OUTLET)
    agent.open(broken)
    agent.act("start_review")
    agent.act("complete_review")
    outlet.open(broken)
    outlet.act("first_action")
    outlet.act("record_findings", cause="handling", whys="箱子从车上掉下\n堆得太高", text="两位同事看到了。")
    agent.open(soaked)
    agent.act("answer", remedy="compensation", amount="180", for_customer="We pay for the tea, and we are sorry.")
    agent.open(broken)
    agent.act(
        "answer", decider="supervisor", remedy="compensation", amount="1500", for_customer="花瓶由我们赔偿，非常抱歉。"
    )


def _pictures(browsing: Browsing, there: Network, folder: Path, broken: str, soaked: str) -> None:
    def keep(page: Page, name: str) -> None:
        page.wait_for_load_state("networkidle" if there.portal in page.url else "load")
        file = folder / f"{name}.png"
        page.screenshot(path=file)
        click.echo(f"{file} {file.stat().st_size // 1000} kB")
        assert file.stat().st_size < BYTES_MAX, f"{file} is bigger than {BYTES_MAX} bytes"

    supervisor = browsing.staff(SUPERVISOR, LIGHT)
    supervisor.go("/queue")
    keep(supervisor.page, "queue")
    supervisor.open(broken)
    keep(supervisor.page, "ticket")
    colleague = browsing.staff(COLLEAGUE, DARK, language=Language.ZH)
    colleague.open(broken)
    keep(colleague.page, "chinese")
    supervisor = browsing.staff(SUPERVISOR, DARK)
    supervisor.go("/board")
    keep(supervisor.page, "board")
    keep(browsing.staff(AGENT, PHONE).page, "phone")
    customer = browsing.page(PHONE)
    customer.goto(there.link("+8613900000902", "propose to compensate you"))
    keep(customer, "customer")


if __name__ == "__main__":
    main()
