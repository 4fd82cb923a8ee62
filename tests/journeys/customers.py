"""What complainants do on the portal."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.journeys.network import Network

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000"
    "000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
"""A picture of one pixel."""


def complain(page: Page, network: Network, text: str, *, phone: str, folder: Path) -> str:
    """Fill in the public form, with a photo, and send it; the number that the page tells."""
    photo = folder / "photo.png"
    photo.write_bytes(PNG)
    page.goto(f"{network.portal}/?lang=en")
    page.get_by_label("What happened?").fill(text)
    page.get_by_label("Mobile number").fill(phone)
    page.get_by_label("Photos, recordings or PDF").set_input_files(photo)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("We have your complaint")
    number = page.locator(".number")
    expect(number).to_be_visible()
    return number.inner_text()


def do(page: Page, act: str, button: str, **fields: str) -> None:
    """Fill in one of the forms of the private page, and send it."""
    form = page.locator(f"details#{act}")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for name, value in fields.items():
        if name == "score":
            form.locator(f"[name=score][value='{value}']").check()
        else:
            form.locator(f"[name={name}]").fill(value)
    form.get_by_role("button", name=button).click()
