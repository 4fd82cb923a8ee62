"""The classifier on any text at all."""

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import SUBCODES
from services.router.classification import classify, extract, vocabulary

_PIECES = st.sampled_from(
    ["没收到", "签收", "快递员", "态度", "慢", "\x00", "\ud800", "\u202e", "🙏", "  ", "，", "13812345678",
     "SF1234567890123", "十天", "半个月", "not delivered", "lost", "İ", "ß",
     "１２", "²", "١٢", "\r\n", "￥٣", "3月99日", "0号"],
)  # fmt: skip
_TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=400),
    st.lists(_PIECES, max_size=60).map("".join),
    st.tuples(_PIECES, st.integers(0, 8_000)).map(lambda pair: (pair[0] * pair[1])[:20_000]),
)


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS, remedy=st.text(max_size=20))
def test_any_text_is_classified_the_same_way_every_time(text: str, remedy: str) -> None:
    """No text raises; the result is the same again; codes fit together; evidence is the vocabulary's and in order."""
    said = classify(text, remedy=remedy)
    assert classify(text, remedy=remedy) == said
    assert said.sub is None or said.sub in SUBCODES[said.primary]
    assert {item.word for item in said.evidence} <= vocabulary().vocabulary
    assert all(matter.category is not said.primary for matter in said.secondary)
    assert 0 <= said.confidence <= 1


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS)
def test_any_text_is_searched_and_no_digit_counts_twice(text: str) -> None:
    """No text raises, and no number comes back both as waybill and as phone number."""
    found = extract(text, reference=date(2026, 11, 22))
    assert extract(text, reference=date(2026, 11, 22)) == found
    assert not {number.lstrip("+") for number in found.phones} & set(found.waybills)


@settings(max_examples=50, deadline=None)
@given(
    digits=st.from_regex(r"1[3-9]\d{9}", fullmatch=True), word=st.sampled_from(["快递单号", "运单号：", "中通", "电话"])
)
def test_a_mobile_number_is_never_a_waybill(digits: str, word: str) -> None:
    """Whatever word stands beside it, an eleven-digit mobile number is not taken for a waybill number."""
    assert extract(f"{word}{digits}").waybills == ()
