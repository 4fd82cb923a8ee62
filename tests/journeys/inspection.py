"""What is wrong with a page that is open: who cannot use it, where it does not fit, what was not translated."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize

from services.desk.wording import WORDS

ROOT: Final = Path(__file__).parents[2]
PHONE: Final = ViewportSize(width=375, height=740)
_RULES: Final = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
_COLOURS: Final = {"type": "rule", "values": ["color-contrast"]}
_DATA: Final = ("deploy/policies/*.yaml", "services/wording/templates/*.yaml")
"""What stands there is shown as it is, in whatever language: names of places, wording of messages."""
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]+")
_THREE_WORDS: Final = re.compile(r"\b[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}")
_CODE: Final = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
_TEXTS: Final = """() => {
  const language = document.documentElement.lang, found = [];
  const isForeign = e => Boolean(e.closest("[lang]:not(html), blockquote, q, script, style, textarea, [translate=no]"));
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.data.trim() && !isForeign(node.parentElement)) found.push(node.data.trim());
  }
  const names = ["title", "aria-label", "placeholder", "alt"];
  for (const e of document.querySelectorAll(names.map(name => `[${name}]`)))
    if (!isForeign(e)) found.push(...names.map(name => e.getAttribute(name)).filter(Boolean));
  return found;
}"""
_WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const isHeld = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  return [...document.body.querySelectorAll("*")]
    .filter(e => e.getBoundingClientRect().right > width + 1 && !isHeld(e)).slice(0, 5)
    .map(e => `${e.localName}.${e.className} ${e.textContent.trim().slice(0, 40)}`);
}"""
_SMALL: Final = """() => [...document.querySelectorAll(
  "button, .button, input:not([type=hidden]), select, summary, nav a")]
  .filter(e => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !e.closest(".unseen"))
  .map(e => [e, (e.matches("[type=checkbox], [type=radio]") && e.closest("label") || e).getBoundingClientRect()])
  .filter(([, box]) => box.height && (box.height < 24 || box.width < 24))
  .map(([e, box]) => `${e.localName} ${e.name || e.textContent.trim().slice(0, 40)}: ${box.width}x${box.height}`)"""


def inspected(page: Page) -> Iterator[str]:
    """Everything: by axe-core in light, dark and at the width of a phone, and what it does not look at."""
    page.evaluate(AXE_SCRIPT)
    window = page.viewport_size or PHONE
    yield from _axe(page, "light", _RULES)
    page.emulate_media(color_scheme="dark")
    yield from _axe(page, "dark", _COLOURS)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    yield from _axe(page, "phone", _RULES)
    yield from (f"too wide for a phone: {what}" for what in page.evaluate(_WIDE))
    yield from (f"too small for a finger: {what}" for what in page.evaluate(_SMALL))
    page.set_viewport_size(window)
    yield from untranslated(page)


def untranslated(page: Page) -> Iterator[str]:
    """Text in another language than the page's, and codes in place of words."""
    is_chinese = page.evaluate("document.documentElement.lang").startswith("zh")
    for text in page.evaluate(_TEXTS):
        if text in _data():
            continue
        # A sentence may name a place, which has one name in all languages.
        named = _CHINESE.sub(lambda run: "" if run[0] in _data() else run[0], text)
        is_other = text in _english() or _THREE_WORDS.search(text) if is_chinese else _CHINESE.search(named)
        if is_other or (_CODE.search(text) and not any(code in _data() for code in _CODE.findall(text))):
            yield f"not translated: {text[:80]}"


def _axe(page: Page, mode: str, rules: dict[str, Any]) -> Iterator[str]:
    options = {"runOnly": rules, "resultTypes": ["violations"], "rules": {"target-size": {"enabled": mode == "phone"}}}
    if rules is _COLOURS:
        del options["rules"]
    for violation in page.evaluate("options => axe.run(options)", options)["violations"]:
        for node in violation["nodes"][:3]:
            yield f"{mode}: {violation['id']}: {node['failureSummary']} {node['html'][:120]}"


@cache
def _data() -> str:
    files = (file for pattern in _DATA for file in ROOT.glob(pattern))
    return "\n".join(file.read_text("utf-8") for file in files)


@cache
def _english() -> frozenset[str]:
    """Phrases that have another word in Chinese; the way to the other language stands in that language."""
    pairs = (pair for section, words in WORDS.items() if section != "event" for pair in words.values())
    return frozenset(
        english
        for chinese, english in pairs
        if english != chinese and "{" not in english and not _CHINESE.search(english)
    )
