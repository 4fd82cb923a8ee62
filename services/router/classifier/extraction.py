"""Find waybill numbers, phone numbers, outlet codes, sums of money and dates in a text.

Everything found is cut out before the next kind is looked for, the most certain first, so that no digit counts twice:
a phone number is never a waybill number and the other way round. Number formats are those the carriers publish; S10 is
the Universal Postal Union's standard with its check digit, the UPS check digit is the one of its 1Z numbers.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import phonenumbers

from schemas.classification import Amount, Extracted, ExtractionPolicy
from services.router.classifier.measures import zh_number

_Value = TypeVar("_Value")

_DEFAULTS: Final = ExtractionPolicy()
_CUT: Final = "\x00"

_LETTERED_WAYBILL: Final = re.compile(
    r"(?<![A-Z0-9])(?:"
    r"(?P<s10>[A-Z]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}[ ]?[A-Z]{2})"
    r"|(?P<ups>1Z[0-9A-Z]{16})"
    r"|SF[ -]?\d{12,15}|YT\d{13,15}|ZTO\d{10,14}|ZT\d{12,14}|STO\d{12,15}|ST\d{12,14}"
    r"|JD[A-Z]{0,3}\d{10,16}(?:-\d+-\d+-?)?|JT\d{12,15}|DPK\d{10,14}|YD\d{12,15}|BEST\d{10,14}|EMS\d{10,13}|VA\d{9,13}|VB\d{9,13}|VC\d{9,13}|TBA\d{12}"
    r")(?![A-Z0-9])",
)
_WAYBILL_WORD: Final = (
    r"(?:快递单号|运单号|运单|快件号|物流单号|物流号|快递号|面单号|单号|邮件号|挂号|WAYBILL|TRACKING|PARCEL|SHIPMENT|PACKAGE"
    r"|CONSIGNMENT|AWB)"
)
_PLAIN_WAYBILL: Final = re.compile(
    rf"(?P<word>{_WAYBILL_WORD}[^\d\n]{{0,16}})(?P<said>\d(?:[ ]?\d){{9,21}})(?![\dA-Z])"
    r"|(?<![\dA-Z.+\-])(?P<usps>9[1-5]\d{18,20})(?![\dA-Z])"
    rf"|(?<![\dA-Z.+\-])(?P<bare>\d{{12,15}})(?=[^\dA-Z]{{0,6}}(?:快递|运单|包裹|快件|{_WAYBILL_WORD}))"
    r"|(?:快递|包裹|快件|顺丰|圆通|中通|申通|韵达|极兔|德邦|邮政)[^\d\n]{0,6}(?P<after>\d{12,15})(?![\dA-Z])",
)
_ORDER_WORD: Final = re.compile(r"(?:订单|订单号|订单编号|ORDER)[^\d\n]{0,8}$")
_PHONE: Final = re.compile(r"(?<![\dA-Z])(?:\+|00)?\(?\d[\d \-()]{5,18}\d(?![\dA-Z])")
_OUTLET_WORD: Final = (
    r"(?:网点|站点|分部|营业部|分拨|分拨中心|转运中心|OUTLET|HUB|DEPOT)(?:代码|编号|编码|CODE)?[:： #]{0,3}"
)

_ZH_DIGITS: Final = "零〇一二两三四五六七八九十百千"
_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?"
_SYMBOLS: Final = {
    "¥": "CNY", "￥": "CNY", "RMB": "CNY", "CNY": "CNY", "人民币": "CNY", "$": "USD", "US$": "USD", "USD": "USD",
    "HK$": "HKD", "HKD": "HKD", "£": "GBP", "GBP": "GBP", "€": "EUR", "EUR": "EUR",
}  # fmt: skip
_UNITS: Final = {
    "元": "CNY", "块钱": "CNY", "块": "CNY", "圆": "CNY", "人民币": "CNY", "RMB": "CNY", "CNY": "CNY", "大洋": "CNY",
    "美元": "USD", "美金": "USD", "USD": "USD", "DOLLARS": "USD", "DOLLAR": "USD", "BUCKS": "USD", "英镑": "GBP",
    "POUNDS": "GBP", "POUND": "GBP", "GBP": "GBP", "QUID": "GBP", "欧元": "EUR", "EUROS": "EUR", "EURO": "EUR",
    "EUR": "EUR", "港币": "HKD", "港元": "HKD", "HKD": "HKD",
}  # fmt: skip
_AMOUNT: Final = re.compile(
    rf"(?P<symbol>US\$|HK\$|[¥￥$£€]|RMB|CNY|USD|GBP|EUR|HKD|人民币)[ ]?"
    rf"(?P<front>{_NUMBER})(?P<front_power>[万千亿K])?(?![\dA-Z])"
    rf"|(?<![\d.A-Z])(?P<back>{_NUMBER}|[{_ZH_DIGITS}]{{1,7}})(?P<back_power>[万千亿])?(?:多|来|余)?[ ]?"
    r"(?P<unit>块钱|人民币|RMB|CNY|大洋|美元|美金|USD|DOLLARS?|BUCKS|英镑|POUNDS?|GBP|QUID|欧元|EUROS?|港币|港元|HKD|元|圆"
    rf"|块(?!屏|表|钢|玻|布|肉|石|地|板|砖|蛋))(?P<tail>[1-9一二三四五六七八九](?![\d十百千万A-Z个]))?",
)
_POWERS: Final = {"千": 1_000, "K": 1_000, "万": 10_000, "亿": 100_000_000}

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ["JANUARY JAN", "FEBRUARY FEB", "MARCH MAR", "APRIL APR", "MAY", "JUNE JUN", "JULY JUL", "AUGUST AUG",
         "SEPTEMBER SEPT SEP", "OCTOBER OCT", "NOVEMBER NOV", "DECEMBER DEC"],
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH_NAME: Final = "|".join(_MONTHS)
_DATE: Final = re.compile(
    r"(?<![\d.])(?:(?P<y>(?:19|20)\d{2})(?:年|-|/|\.)(?P<m>\d{1,2})(?:月|-|/|\.)(?P<d>\d{1,2})(?:日|号)?(?!\d)"
    r"|(?P<m2>\d{1,2})月(?P<d2>\d{1,2})(?:日|号)?(?!\d)"
    r"|(?P<d3>\d{1,2})号(?![楼线店门机码院馆仓口柜])"
    r"|(?P<a>\d{1,2})[/\-](?P<b>\d{1,2})[/\-](?P<y4>(?:19|20)?\d{2})(?!\d))"
    rf"|\b(?P<name5>{_MONTH_NAME})\.?[ ](?P<d5>\d{{1,2}})(?:ST|ND|RD|TH)?\b(?:,?[ ](?P<y5>(?:19|20)\d{{2}}))?"
    rf"|(?<!\d)(?P<d6>\d{{1,2}})(?:ST|ND|RD|TH)?[ ](?:OF[ ])?(?P<name6>{_MONTH_NAME})\b\.?"
    rf"(?:,?[ ](?P<y6>(?:19|20)?\d{{2}})(?!\d))?",
)
_RELATIVE: Final = re.compile(
    r"大前天|前天|昨天|昨晚|今天|今早|今晚|明天|后天|上周[一二三四五六日天]?|上个?星期[一二三四五六日天]?|上个月|这周|本周|下周"
    r"|前几天|前两天|\b(?:YESTERDAY|TODAY|TOMORROW|LAST (?:WEEK|MONTH|NIGHT|MONDAY|TUESDAY|WEDNESDAY|THURSDAY|FRIDAY"
    r"|SATURDAY|SUNDAY)|THIS (?:MORNING|WEEK|AFTERNOON)|NEXT WEEK)\b",
)


class Shipment(NamedTuple):
    """Parcels and places that a text names."""

    waybills: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


def extract(text: str, *, reference: date | None = None, policy: ExtractionPolicy = _DEFAULTS) -> Extracted:
    """Find what a text names besides words.

    `reference` is the day the complaint was received: a date without a year is the last such day up to it (a day ahead
    of it by no more than a week is taken as this year's). Full-width digits, and blanks and hyphens inside numbers, are
    understood. Any text is accepted.
    """
    shipment, plain = _shipment(text, policy)
    dates: list[date] = []
    plain = _cut(plain, _DATE, dates, lambda match: _date(match, reference))
    amounts: list[Amount] = []
    plain = _cut(plain, _AMOUNT, amounts, _amount)
    phones: list[str] = []
    plain = _cut(plain, _PHONE, phones, lambda match: _phone(match[0], policy.regions))
    relative = (match[0].lower() for match in _RELATIVE.finditer(plain))
    return Extracted(
        waybills=shipment.waybills,
        phones=tuple(dict.fromkeys(phones)),
        codes=shipment.codes,
        amounts=tuple(dict.fromkeys(amounts)),
        dates=tuple(dict.fromkeys(dates)),
        relative_dates=tuple(dict.fromkeys(relative)),
    )


def shipment_of(text: str, *, policy: ExtractionPolicy = _DEFAULTS) -> Shipment:
    """The waybill numbers and codes that `extract` finds. They are looked for first, so the rest need not be."""
    return _shipment(text, policy)[0]


def _shipment(text: str, policy: ExtractionPolicy) -> tuple[Shipment, str]:
    """What names the shipment, and the text without it."""
    plain = unicodedata.normalize("NFKC", text[: policy.chars_read_max]).upper().replace(_CUT, " ")
    waybills: list[str] = []
    plain = _cut(plain, _LETTERED_WAYBILL, waybills, _lettered)
    plain = _cut(plain, _PLAIN_WAYBILL, waybills, _digits_waybill)
    codes: list[str] = []
    plain = _cut(plain, _code_pattern(policy), codes, lambda match: match["code"] or match["area"])
    return Shipment(tuple(dict.fromkeys(waybills)), tuple(dict.fromkeys(codes))), plain


def _cut(
    text: str, pattern: re.Pattern[str], into: list[_Value], read: Callable[[re.Match[str]], _Value | None]
) -> str:
    """Collect what `read` accepts and take it out of the text; what it refuses stays for the kinds that follow."""

    def take(match: re.Match[str]) -> str:
        value = read(match)
        if value is None:
            return match[0]
        into.append(value)
        return _CUT

    return pattern.sub(take, text)


@lru_cache(maxsize=16)
def _code_pattern(policy: ExtractionPolicy) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![A-Z0-9\-])(?P<code>{policy.code_pattern})(?![A-Z0-9])"
        rf"|{_OUTLET_WORD}(?P<area>{policy.area_code_pattern})(?![A-Z0-9])",
    )


def _lettered(match: re.Match[str]) -> str | None:
    number = re.sub(r"[ \-]", "", match[0]) if not match[0].startswith("JD") else match[0]
    if match["s10"]:
        return number if s10_check_digit(number[2:10]) == int(number[10]) else None
    return number


def s10_check_digit(serial: str) -> int:
    """Check digit of the eight-digit serial number of a postal item (UPU standard S10)."""
    weighted = sum(int(digit) * weight for digit, weight in zip(serial, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    return {10: 0, 11: 5}.get(11 - weighted % 11, 11 - weighted % 11)


def _digits_waybill(match: re.Match[str]) -> str | None:
    number = next(match[name] for name in ("said", "usps", "bare", "after") if match[name]).replace(" ", "")
    if _is_phone_like(number) or _ORDER_WORD.search(match.string[: match.start()] + (match["word"] or "")):
        return None
    return number


def _is_phone_like(digits: str) -> bool:
    """Whether bare digits are a Chinese mobile number, with or without the country code, or begin like a landline."""
    return bool(re.fullmatch(r"(?:(?:00)?86)?1[3-9]\d{9}|0\d{9,11}|[48]00\d{7}", digits))


def _phone(candidate: str, regions: tuple[str, ...]) -> str | None:
    for region in regions:
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return None


def _amount(match: re.Match[str]) -> Amount | None:
    if match["symbol"]:
        digits, power, currency = match["front"], match["front_power"], _SYMBOLS[match["symbol"]]
    else:
        digits, power, currency = match["back"], match["back_power"], _UNITS[match["unit"]]
    digits = digits.replace(",", "")
    # Chinese numerals are small whole numbers; as a string they enter a Decimal without a binary fraction.
    value = Decimal(digits) if digits[0].isdigit() else Decimal(str(zh_number(digits)))
    value *= _POWERS.get(power or "", 1)
    if match["tail"]:
        value += Decimal(str(zh_number(match["tail"]))) / 10
    return Amount(value=value.normalize() + 0, currency=currency) if value else None


def _date(match: re.Match[str], reference: date | None) -> date | None:
    if match["y"]:
        return _day(int(match["y"]), int(match["m"]), int(match["d"]))
    if match["m2"]:
        return _past(reference, int(match["m2"]), int(match["d2"]))
    if match["d3"]:
        return _past(reference, None, int(match["d3"]))
    if match["name5"]:
        month, day, year = _MONTHS[match["name5"]], int(match["d5"]), match["y5"]
    elif match["name6"]:
        month, day, year = _MONTHS[match["name6"]], int(match["d6"]), match["y6"]
    else:
        # 1-31-26 and 31/1/2026: what cannot be a month is the day; where both can, the month comes first (US carriers).
        first, second, year = int(match["a"]), int(match["b"]), match["y4"]
        month, day = (second, first) if first > 12 else (first, second)
    if year:
        return _day(int(year) if len(year) == 4 else 2000 + int(year), month, day)
    return _past(reference, month, day)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _past(reference: date | None, month: int | None, day: int) -> date | None:
    """The last such day up to a week after the reference."""
    if reference is None:
        return None
    latest = reference + timedelta(days=7)
    candidates = (found for found in _backwards(latest, month, day) if found is not None and found <= latest)
    return next(candidates, None)


def _backwards(latest: date, month: int | None, day: int) -> Iterator[date | None]:
    if month is not None:
        for years in range(5):  # 29 February comes back within four years
            yield _day(latest.year - years, month, day)
        return
    for months in range(3):
        index = latest.year * 12 + latest.month - 1 - months
        yield _day(index // 12, index % 12 + 1, day)
