"""Lengths of time and sums of money as people write them, in digits, Chinese numerals and English words."""

import re
from typing import Final

_ZH_NUMBER: Final = "零〇一二两三四五六七八九十百千"
MEASURE: Final = re.compile(
    # The lookahead is for speed: most places cannot begin a measure.
    rf"(?=[0-9{_ZH_NUMBER}半几数多nasotef$£€￥¥])(?:(?P<n>\d{{1,5}}|[{_ZH_NUMBER}半几数多n]{{1,5}})(?P<more>来|多|几|余)?(?P<ge>个)?(?P<half>半)?多?"
    r"(?P<unit>小时|钟头|工作日|天|日(?!达)|周(?![一二三四五六日天末])|星期(?![一二三四五六日天])|礼拜(?![一二三四五六日天])"
    r"|月|年(?!前)|块|元|圆)"
    r"|\b(?P<en>\d{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|twenty|thirty|forty|sixty|ninety|several|couple of|a couple of|few|a few)[\s-]+"
    r"(?:full |whole |more |business |working |and a half |calendar |solid |long )?"
    r"(?P<en_unit>hour|day|week|wk|month|year)s?\b"
    r"|[$£€￥¥]\s?\d)",
)
_DIGIT: Final = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_POWER: Final = {"十": 10, "百": 100, "千": 1000}
_EN_NUMBER: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "twenty": 20, "thirty": 30,
    "forty": 40, "sixty": 60, "ninety": 90,
    "several": 4, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3,
}  # fmt: skip
_UNIT_DAYS: Final = {
    "小时": 1 / 24, "钟头": 1 / 24, "天": 1, "日": 1, "工作日": 1.4, "周": 7, "星期": 7, "礼拜": 7, "月": 30, "年": 365,
    "hour": 1 / 24, "day": 1, "week": 7, "wk": 7, "month": 30, "year": 365,
}  # fmt: skip
_MONEY_UNITS: Final = frozenset("块元圆")


def zh_number(text: str) -> float:
    """Value of a number in digits or Chinese numerals; "半" is a half, "几", "数" and "多" alone are three."""
    if text.isdigit():
        return int(text)
    total = 0.0
    current = 0.0
    for char in text:
        if char in _DIGIT:
            current = _DIGIT[char]
        elif char in _POWER:
            total += (current or 1) * _POWER[char]
            current = 0
        elif char == "半":
            current += 0.5
        elif not total and not current:
            current = 3
    return total + current


def is_money(match: re.Match[str]) -> bool:
    """Whether a match of MEASURE is a sum of money and not a length of time."""
    unit = match["unit"]
    return unit in _MONEY_UNITS if unit else match["en_unit"] is None


def days_of(match: re.Match[str]) -> float:
    """Length of time in days; 0 for what is a date or a sum of money. "十几天" counts as ten, "半个月" as fifteen."""
    if match["en_unit"]:
        number = match["en"]
        return (int(number) if number.isdigit() else _EN_NUMBER[number]) * _UNIT_DAYS[match["en_unit"]]
    unit, number = match["unit"], match["n"]
    if unit is None or unit in _MONEY_UNITS:
        return 0.0
    if unit == "日" or (
        unit in "月年" and not match["ge"] and number != "半" and (unit == "月" or int(zh_number(number)) > 20)
    ):
        return 0.0  # "11月20日" and "2025年" are dates, "一个月" and "半年" are not
    if unit == "年" and number.isdigit() and int(number) > 100:
        return 0.0
    return (zh_number(number) + (0.5 if match["half"] else 0)) * _UNIT_DAYS[unit]
