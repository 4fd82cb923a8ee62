"""Numbers, codes, sums and dates that texts name."""

from datetime import date
from decimal import Decimal

import pytest

from schemas.classification import Amount, ExtractionPolicy
from services.router.classification import extract
from services.router.classifier.extraction import s10_check_digit

RECEIVED = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("text", "waybills"),
    [
        ("单号SF1234567890123一直没到", ("SF1234567890123",)),
        ("sf1234567890123", ("SF1234567890123",)),
        ("ＳＦ１２３４５６７８９０１２３", ("SF1234567890123",)),
        ("圆通YT1234567890123，京东JD0123456789012", ("YT1234567890123", "JD0123456789012")),
        ("RR123456785CN", ("RR123456785CN",)),
        ("RR 123 456 785 CN", ("RR123456785CN",)),
        ("RR123456784CN", ()),
        ("tracking number 1Z999AA10123456784 still", ("1Z999AA10123456784",)),
        ("快递单号：773012345678901", ("773012345678901",)),
        ("快递单号 7551 2345 6789", ("755123456789",)),
        ("中通75123456789012到了没有", ("75123456789012",)),
        ("usps 9400110200881234567890", ("9400110200881234567890",)),
        ("订单号：123456789012", ()),
        ("我有123456789012个问题", ()),
        ("身份证440301199001011234", ()),
        ("SF1234567890123和SF1234567890123", ("SF1234567890123",)),
    ],
)
def test_waybill_numbers(text: str, waybills: tuple[str, ...]) -> None:
    """Carriers' formats are known by their letters; bare digits need a word beside them; order numbers are none."""
    assert extract(text).waybills == waybills


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("电话13812345678谢谢", ("+8613812345678",)),
        ("电话138 1234 5678", ("+8613812345678",)),
        ("１３８１２３４５６７８", ("+8613812345678",)),
        ("+86 13812345678", ("+8613812345678",)),
        ("8613812345678", ("+8613812345678",)),
        ("座机0755-88886666", ("+8675588886666",)),
        ("call +1 650 253 0000 please", ("+16502530000",)),
        ("数字12345", ()),
    ],
)
def test_phone_numbers(text: str, phones: tuple[str, ...]) -> None:
    """Mobile and landline numbers come out in E.164."""
    assert extract(text).phones == phones


def test_a_phone_number_is_no_waybill_and_a_waybill_no_phone_number() -> None:
    """Even where the word beside it says otherwise, a mobile number stays one."""
    found = extract("快递单号 13812345678，运单SF1234567890123，手机13912345678")
    assert found.waybills == ("SF1234567890123",)
    assert found.phones == ("+8613812345678", "+8613912345678")


def test_another_region_is_a_matter_of_policy() -> None:
    """Numbers without country code belong to the regions of the policy."""
    text = "call me at (650) 253-0000"
    assert extract(text).phones == ()
    assert extract(text, policy=ExtractionPolicy(regions=("US",))).phones == ("+16502530000",)


def test_outlet_and_hub_codes() -> None:
    """Prefixed codes stand alone; an area code needs a word for outlet or hub beside it."""
    assert extract("网点NET-1234和hub-02都不管").codes == ("NET-1234", "HUB-02")
    assert extract("网点755AB不派送").codes == ("755AB",)
    assert extract("内存128GB").codes == ()


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("赔我300元", "300", "CNY"),
        ("赔我三百块", "300", "CNY"),
        ("两块五一个件", "2.5", "CNY"),
        ("一百二十块钱", "120", "CNY"),
        ("价值1.2万元", "12000", "CNY"),
        ("￥1,200.50", "1200.5", "CNY"),
        ("RMB 88", "88", "CNY"),
        ("charged me $25.50", "25.5", "USD"),
        ("£10 fee", "10", "GBP"),
        ("30 dollars", "30", "USD"),
    ],
)
def test_sums_of_money(text: str, value: str, currency: str) -> None:
    """Digits, Chinese numerals, 万, symbols and names of currencies are understood."""
    assert extract(text).amounts == (Amount(value=Decimal(value), currency=currency),)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025年11月20日", date(2025, 11, 20)),
        ("2025-11-20", date(2025, 11, 20)),
        ("11月20号下的单", date(2026, 11, 20)),
        ("12月25日下的单", date(2025, 12, 25)),
        ("20号买的", date(2026, 11, 20)),
        ("30号买的", date(2026, 10, 30)),
        ("Jan 29, 2026", date(2026, 1, 29)),
        ("since 3rd of November", date(2026, 11, 3)),
        ("1-31-26", date(2026, 1, 31)),
    ],
)
def test_dates(text: str, day: date) -> None:
    """A date without a year, or without a month, is the last such day before the complaint came."""
    assert extract(text, reference=RECEIVED).dates == (day,)


def test_dates_without_year_need_a_reference() -> None:
    """Without a day to count from, only full dates are said; relative ones stay words; impossible ones are left out."""
    found = extract("11月20号下单，昨天说送，2026年2月30日，2026-01-05")
    assert found.dates == (date(2026, 1, 5),)
    assert found.relative_dates == ("昨天",)


def test_s10_check_digit_of_the_standard() -> None:
    """The example of UPU standard S10: 47312482 has check digit 9."""
    assert s10_check_digit("47312482") == 9
