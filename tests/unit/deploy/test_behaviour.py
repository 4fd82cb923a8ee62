"""Rules for the sandbox's gateways."""

import pytest
from pydantic import ValidationError

from deploy.local.sandbox.behaviour import Behaviour, Behaviours, Mode


def rules(*given: Behaviour) -> Behaviours:
    """Rules put in force at second 0."""
    behaviours = Behaviours()
    for rule in given:
        behaviours.set(rule, now=0)
    return behaviours


def test_accepts_without_a_rule() -> None:
    """No rule, no misbehaviour."""
    assert rules().take("sms", "13800001111", now=0) is None


def test_applies_as_often_as_it_counts() -> None:
    """A rule with count 2 is used twice."""
    behaviours = rules(Behaviour(channel="sms", mode=Mode.REFUSE, count=2))
    assert [behaviours.take("sms", "1", now=0) is not None for _ in range(3)] == [True, True, False]
    assert behaviours.all(now=0) == []


def test_ends_after_its_seconds_except_a_delay() -> None:
    """`seconds` is the wait of a delay and the life of every other rule."""
    behaviours = rules(
        Behaviour(channel="sms", mode=Mode.THROTTLE, seconds=5), Behaviour(channel="email", mode=Mode.DELAY, seconds=5)
    )
    assert behaviours.take("sms", "1", now=4.9) is not None
    assert behaviours.take("sms", "1", now=5) is None
    assert behaviours.take("email", "a@b.example", now=99) is not None


@pytest.mark.parametrize("to", ["13800001111", "8613800001111", "+8613800001111"])
def test_a_prefix_matches_a_number_with_and_without_its_country(to: str) -> None:
    """138 and +86138 mean the same numbers."""
    assert rules(Behaviour(channel="sms", mode=Mode.REFUSE, to_prefix="138")).take("sms", to, now=0) is not None


def test_the_longest_prefix_wins_and_channels_are_apart() -> None:
    """A rule for one number stands before that for all, and none is for the other channel."""
    behaviours = rules(
        Behaviour(channel="sms", mode=Mode.REFUSE),
        Behaviour(channel="sms", mode=Mode.DELAY, to_prefix="138", seconds=1),
    )
    found = [behaviours.take("sms", to, now=0) for to in ("13800001111", "13900001111")]
    assert [rule.mode for rule in found if rule] == [Mode.DELAY, Mode.REFUSE]
    assert behaviours.take("email", "138@b.example", now=0) is None


def test_a_rule_of_another_moment_is_not_used_up() -> None:
    """Asked only for some modes, a rule of another mode keeps its count."""
    behaviours = rules(Behaviour(channel="email", mode=Mode.DELAY, count=1, seconds=1))
    assert behaviours.take("email", "a@b.example", now=0, modes=frozenset({Mode.REFUSE})) is None
    assert behaviours.take("email", "a@b.example", now=0) is not None


def test_accept_takes_rules_away() -> None:
    """`accept` with a prefix ends that rule, without one all of the channel."""
    behaviours = rules(
        Behaviour(channel="sms", mode=Mode.REFUSE, to_prefix="138"),
        Behaviour(channel="sms", mode=Mode.REFUSE, to_prefix="139"),
        Behaviour(channel="email", mode=Mode.REFUSE),
        Behaviour(channel="sms", mode=Mode.ACCEPT, to_prefix="138"),
    )
    assert [rule.to_prefix for rule in behaviours.all(now=0)] == ["139", ""]
    behaviours.set(Behaviour(channel="sms", mode=Mode.ACCEPT), now=0)
    assert [rule.channel for rule in behaviours.all(now=0)] == ["email"]


def test_e_mail_has_no_receipts_to_drop() -> None:
    """A mode that a channel cannot have is refused."""
    with pytest.raises(ValidationError, match="no receipts"):
        Behaviour(channel="email", mode=Mode.DROP_RECEIPTS)
