from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.router.number import Number, WrongNumber, is_valid, month_of, parse


def test_number_reads_as_month_and_serial_with_check_digit() -> None:
    """A number is the month, a dash, at least five digits of serial and the check digit."""
    text = str(Number("2611", 421))
    assert text.startswith("2611-00421")
    assert len(text) == 11
    assert parse(text) == Number("2611", 421)


def test_a_busy_month_gets_longer_numbers() -> None:
    """The serial is not bounded by its usual width."""
    assert parse(str(Number("2611", 1_234_567))) == Number("2611", 1_234_567)


@pytest.mark.parametrize("spoken", ["{} ", " {}", "{}".replace("-", " ")])
def test_spacing_does_not_matter(spoken: str) -> None:
    """People type numbers with blanks and other dashes."""
    number = Number("2611", 77)
    assert parse(spoken.format(number)) == number
    assert parse(str(number).replace("-", " ")) == number
    assert parse(str(number).replace("-", "–")) == number
    assert parse(str(number).replace("-", "")) == number


def test_every_single_slip_is_noticed() -> None:
    """Any wrong digit, and any swap of two unlike neighbours, makes the number invalid."""
    digits = str(Number("2611", 4217)).replace("-", "")
    for i, digit in enumerate(digits):
        for other in set("0123456789") - {digit}:
            assert not is_valid(digits[:i] + other + digits[i + 1 :])
        if i + 1 < len(digits) and digit != digits[i + 1]:
            assert not is_valid(digits[:i] + digits[i + 1] + digit + digits[i + 2 :])


def test_refusal_names_the_text_and_what_is_wanted() -> None:
    """Whoever mistypes is told what a number looks like."""
    with pytest.raises(WrongNumber, match="'hello' is no ticket number: it looks like 2611-004217"):
        parse("hello")


def test_month_turns_at_midnight_of_the_network() -> None:
    """23:30 in Shanghai is still this month, 00:30 the next, whatever UTC says."""
    shanghai = ZoneInfo("Asia/Shanghai")
    assert month_of(datetime(2026, 11, 30, 15, 30, tzinfo=UTC), shanghai) == "2611"
    assert month_of(datetime(2026, 11, 30, 16, 30, tzinfo=UTC), shanghai) == "2612"


def test_digits_of_full_width_are_digits() -> None:
    """Chinese keyboards write them."""
    number = Number("2611", 77)
    assert parse(str(number).translate({ord("0") + n: ord("０") + n for n in range(10)} | {ord("-"): "－"})) == number
