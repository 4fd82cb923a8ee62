from datetime import timedelta

import pytest

from schemas.codes import Category, Channel, Source
from schemas.complaint import ComplaintSubmitted
from schemas.sealed import ContactIndex
from services.router.claims import WAYBILLS_MAX, Claim, claims_of
from tests.unit.router.examples import AT, complaint


def ids(given: ComplaintSubmitted, category: Category = Category.DELAY, *waybills: str) -> dict[str, str]:
    """Claims by id."""
    return {claim.id: claim.kind for claim in claims_of(given, category, waybills)}


def shared(one: dict[str, str], other: dict[str, str]) -> set[str]:
    """Kinds of claim that two complaints have in common."""
    return {one[id_] for id_ in one.keys() & other.keys()}


def test_claims_are_laid_in_one_order() -> None:
    """Everybody lays claims in the order of their ids: without that two complaints could wait for each other."""
    laid = claims_of(complaint(case_number="C1"), Category.LOSS, ["B", "A", "C"])
    assert [claim.id for claim in laid] == sorted(claim.id for claim in laid)
    assert {claim.kind for claim in laid} == {"case", "waybill", "text"}


@pytest.mark.parametrize("other", [Category.DAMAGE, Category.LOSS, Category.INFORMATION, Category.ATTITUDE])
def test_what_happens_to_a_parcel_is_one_matter(other: Category) -> None:
    """Delay today and damage tomorrow of the same parcel is the same matter, whoever writes."""
    anybody = complaint("b", contact_index=ContactIndex(phone="other"))
    assert shared(ids(complaint("a"), Category.DELAY, "YT1"), ids(anybody, other, "yt1")) == {"waybill"}


@pytest.mark.parametrize("other", [Category.PRICE, Category.CLAIMS])
def test_money_is_another_matter_than_the_parcel(other: Category) -> None:
    """The price and the compensation of a parcel are handled apart from what happened to it."""
    anybody = complaint("b", contact_index=ContactIndex(phone="other"))
    assert not shared(ids(complaint("a"), Category.DELAY, "YT1"), ids(anybody, other, "YT1"))


def test_an_outlets_complaint_is_not_its_customers() -> None:
    """Internal and external complaints about a parcel are two matters."""
    internal = complaint("b", source=Source.INTERNAL, contact_index=ContactIndex())
    assert not shared(ids(complaint("a"), Category.LOSS, "YT1"), ids(internal, Category.LOSS, "YT1"))


def test_the_same_text_counts_for_the_same_person_only() -> None:
    """Two people may write the same words."""
    assert shared(ids(complaint("a")), ids(complaint("b"))) == {"text"}
    assert not shared(ids(complaint("a")), ids(complaint("b", contact_index=ContactIndex(phone="other"))))
    assert not shared(ids(complaint("a")), ids(complaint("b", text_fingerprint="other")))


def test_any_way_to_reach_a_person_tells_who_it_is() -> None:
    """The web form knows phone and e-mail, the mail server the address alone."""
    both = complaint("a", contact_index=ContactIndex(phone="p", email="m"))
    assert shared(ids(both), ids(complaint("b", contact_index=ContactIndex(email="m")))) == {"text"}


def test_an_anonymous_complaint_has_no_text_claim() -> None:
    """Without a person there is nobody whose words they are."""
    assert ids(complaint("a", contact_index=ContactIndex())) == {}


def test_a_case_number_counts_within_its_channel() -> None:
    """Platform and regulator number their cases independently."""
    nobody = ContactIndex()
    one = ids(complaint("a", case_number="77", channel=Channel.REGULATOR, contact_index=nobody))
    assert shared(one, ids(complaint("b", case_number="77", channel=Channel.REGULATOR))) == {"case"}
    assert not shared(one, ids(complaint("c", case_number="77", channel=Channel.PLATFORM)))


def test_many_parcels_are_bounded() -> None:
    """A complaint about two hundred parcels claims the first of them."""
    waybills = [f"YT{n}" for n in range(200)]
    laid = ids(complaint("a", contact_index=ContactIndex()), Category.LOSS, *waybills)
    assert len(laid) == WAYBILLS_MAX


def test_a_shippers_form_letter_about_another_parcel_is_another_matter() -> None:
    """The same words about two parcels are two matters, about an unnamed one they are the same."""
    claim = Claim("x", "text", AT, ("YT1",))
    assert not claim.same_matter(waybills=["YT2"])
    assert claim.same_matter(waybills=["YT1", "YT2"])
    assert claim.same_matter(waybills=[])
    assert Claim("x", "waybill", AT, ("YT1",)).same_matter(waybills=["YT2"])


def test_the_same_text_long_after_is_another_matter() -> None:
    """A text claim lapses with its window, the others do not."""
    window = timedelta(days=7)
    assert Claim("x", "text", AT, ()).lapsed(laid_at=AT - timedelta(days=8), window=window)
    assert not Claim("x", "text", AT, ()).lapsed(laid_at=AT - timedelta(days=7), window=window)
    assert not Claim("x", "waybill", AT, ()).lapsed(laid_at=AT - timedelta(days=99), window=window)
