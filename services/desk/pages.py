"""Pages out of `pages/*.html`: Jinja2, everything escaped, in the reader's language. No script stands in a page."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schemas.codes import Language
from services.desk.wording import WORDS, Speaker

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
_COUNTING: Final = ("left", "over", "soon", "changed_show", "live", "polling", "offline", "draft_kept", "as_of")
"""Phrases that the script says."""

_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(HERE / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(name: str, say: Speaker, content: Mapping[str, Any]) -> str:
    """A page as text.

    Args:
        name: of the template, without `.html`.
        say: who speaks to the reader.
        content: what the template names.
    """
    known = {
        "say": say,
        "t": say.page,
        "word": say.word,
        "words": WORDS,
        "asset": _asset,
        "spoken": _spoken(say.language),
        "lang": "zh-CN" if say.language is Language.ZH else "en",
    }
    return _ENVIRONMENT.get_template(f"{name}.html").render({**known, **content})


@cache
def _asset(name: str) -> str:
    """Where a file is served; the digest in it changes with the file, so browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@cache
def _spoken(language: Language) -> str:
    """JSON of the phrases that the script says; they stand in an attribute, since no script stands in a page."""
    say = Speaker(language)
    phrases = {key: say.page(key) for key in _COUNTING} | {unit: say.word("time", unit) for unit in WORDS["time"]}
    return orjson.dumps(phrases).decode()
