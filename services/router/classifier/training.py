"""Write the text that the classifier is trained on: phrases of `data/training_*.txt`, filled and joined at random.

Every text is the project's own. A text states its matter, sometimes with a lesser matter beside it, in the company of
opinions on goods, merchants and life, as real complaints do. The same seed writes the same texts.
"""

import random
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Final

_DATA: Final = files("services.router.classifier") / "data"
_SLOT: Final = re.compile(r"\{(\w+)\}")
Phrases = Mapping[str, tuple[str, ...]]

# What may stand beside a matter without changing what the carrier must act on first.
_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "delay": ("information.unreachable", "information.tracking", "operation_error.slow_feedback", "attitude.rude"),
    "damage": ("delay.delivery", "attitude.rude", "operation_error.slow_feedback"),
    "loss": ("operation_error.slow_feedback", "information.unreachable", "delay.delivery", "attitude.rude"),
    "operation_error": ("attitude.rude", "information.unreachable", "delay.delivery"),
    "attitude": ("operation_error.slow_feedback",),
    "price": ("attitude.rude", "attitude.refusal"),
    "claims": ("operation_error.slow_feedback", "attitude.rude"),
    "finance": ("operation_error.slow_feedback",),
}
_LINKS_ZH: Final = (
    "，",
    "。",
    "！",
    " ",
    "，，",
    "…",
    "！！",
    "；",
    "，而且",
    "，还",
    "。另外",
    "，但是",
    "，就是",
    "。不过",
    "\n",
)
_LINKS_EN: Final = (" ", " ", " ", "\n", " And ", " But ")
_CLOSINGS_ZH: Final = ("", "", "。", "！", "！！！", "，谢谢", "…", "？", "差评", "。。")
_TURNS_ZH: Final = (
    "好的",
    "谢谢",
    "嗯",
    "好吧",
    "没有了",
    "在吗",
    "你好",
    "[订单x]",
    "[数字x]",
    "麻烦了",
    "可以",
    "辛苦了",
)


# How much more often than the rest a matter is written, as it is met more often in life.
_OFTEN: Final[Mapping[str, int]] = {
    "delay.delivery": 5,
    "other.unclear": 6,
    "other.enquiry": 3,
    "operation_error.false_signoff": 2,
    "operation_error.unauthorised_drop": 2,
    "attitude.rude": 2,
    "attitude.refusal": 2,
}


# Chance that one more phrase of the same matter follows: whoever writes of goods and merchants writes at length.
_GOES_ON: Final[Mapping[str, float]] = {"other.unclear": 0.65, "other.enquiry": 0.5}
_GOES_ON_ELSE: Final = 0.35
_PARTS_MAX: Final = 8


def phrases(language: str) -> Phrases:
    """Phrases and slot fillers of a language (`zh` or `en`) by section."""
    sections: dict[str, list[str]] = {}
    for raw in (_DATA / f"training_{language}.txt").read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return {name: tuple(lines) for name, lines in sections.items()}


def codes(language: str) -> tuple[str, ...]:
    """Matters that a language has phrases for."""
    return tuple(name for name in phrases(language) if not name.startswith(("slot", "noise")))


def texts(language: str, per_code: int, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of text and matter code, `per_code` of each matter and more of the frequent ones."""
    book = phrases(language)
    chance = random.Random(f"{seed}:{language}")  # noqa: S311  # not a secret: the same seed must write the same texts
    for code in codes(language):
        for _ in range(per_code * _OFTEN.get(code, 1)):
            yield _text(code, book, language, chance), code


def _fill(phrase: str, book: Phrases, chance: random.Random) -> str:
    while match := _SLOT.search(phrase):
        name = match[1]
        filler = chance.choice(book.get(f"slot {name}") or book["noise.anger" if name == "anger" else f"slot {name}"])
        phrase = phrase[: match.start()] + filler + phrase[match.end() :]
    return phrase


def _text(code: str, book: Phrases, language: str, chance: random.Random) -> str:
    category = code.partition(".")[0]
    parts = [chance.choice(book[code])]
    while chance.random() < _GOES_ON.get(code, _GOES_ON_ELSE) and len(parts) < _PARTS_MAX:
        parts.append(chance.choice(book[code]))
    if category in _BESIDE and chance.random() < 0.3:
        beside = [other for other in _BESIDE[category] if other in book]
        parts.append(chance.choice(book[chance.choice(beside)]))
    for noise, share in _noise(code):
        if chance.random() < share:
            parts.insert(chance.randrange(len(parts) + 1), chance.choice(book.get(noise, book["noise.anger"])))
    filled = [_fill(part, book, chance) for part in parts]
    if language == "en":
        return "".join(part + chance.choice(_LINKS_EN) for part in filled).strip()
    if code == "other.enquiry" and chance.random() < 0.5:
        for _ in range(chance.randrange(1, 4)):
            filled.insert(chance.randrange(len(filled) + 1), chance.choice(_TURNS_ZH))
        return "；".join(filled)
    joined = "".join(part + chance.choice(_LINKS_ZH) for part in filled[:-1])
    return joined + filled[-1] + chance.choice(_CLOSINGS_ZH)


def _noise(code: str) -> tuple[tuple[str, float], ...]:
    if code == "other.enquiry":
        return ()
    if code == "other.praise":
        return (("noise.product_good", 0.4), ("noise.delivery_good", 0.4))
    if code == "other.unclear":
        return (
            ("noise.product_bad", 0.5),
            ("noise.product_good", 0.15),
            ("noise.anger", 0.4),
            ("noise.merchant", 0.3),
            ("noise.delivery_good", 0.25),
            ("noise.neutral_delivery", 0.3),
        )
    return (
        ("noise.product_bad", 0.25),
        ("noise.product_good", 0.25),
        ("noise.anger", 0.4),
        ("noise.merchant", 0.1),
        ("noise.ask_repair", 0.08),
        ("noise.ask_prevent", 0.05),
        ("noise.neutral_delivery", 0.1),
    )
