"""How the gateways are told to misbehave, so that tests and the demo can show fallback. Pure."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.local.sandbox.messages_store import Channel


class Mode(StrEnum):
    """What a gateway does with a message."""

    ACCEPT = "accept"
    REFUSE = "refuse"  # for good: ESME_RINVDSTADR, 550
    THROTTLE = "throttle"  # for now: ESME_RTHROTTLED, 451
    DELAY = "delay"  # taken, answered after `seconds`
    HANG_UP = "hang_up"  # not taken; every connection of the channel drops
    TAKE_AND_HANG_UP = "take_and_hang_up"  # taken, but the sender is not told: the connection drops
    DROP_RECEIPTS = "drop_receipts"  # taken, and the receipt never comes
    UNDELIVERABLE = "undeliverable"  # taken, and the receipt says UNDELIV: listed as failed, nobody saw it


_SMS_ONLY = {Mode.DROP_RECEIPTS, Mode.UNDELIVERABLE}


class Behaviour(BaseModel):
    """A rule for messages of one channel whose recipient begins with `to_prefix`.

    `seconds` is the wait of `delay`; for all other modes the rule ends after so long. `count` ends it after so many
    messages. 0 means without end. A rule replaces one with the same channel and prefix; `accept` takes it away, and
    with an empty prefix takes away all of the channel.
    """

    model_config = ConfigDict(extra="forbid")

    channel: Channel
    mode: Mode
    seconds: float = Field(default=0, ge=0, le=3600)
    count: int = Field(default=0, ge=0)
    to_prefix: str = ""

    @model_validator(mode="after")
    def _fits_channel(self) -> Self:
        if self.channel == "email" and self.mode in _SMS_ONLY:
            raise ValueError(f"{self.mode} is for sms: e-mail has no receipts")
        return self


class Behaviours:
    """The rules in force; the longest prefix wins."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], tuple[Behaviour, float]] = {}

    def set(self, behaviour: Behaviour, *, now: float) -> None:
        """Put a rule in force from `now` (seconds of a monotonic clock)."""
        if behaviour.mode is Mode.ACCEPT and not behaviour.to_prefix:
            self._rules = {key: rule for key, rule in self._rules.items() if key[0] != behaviour.channel}
        elif behaviour.mode is Mode.ACCEPT:
            self._rules.pop((behaviour.channel, behaviour.to_prefix), None)
        else:
            self._rules[behaviour.channel, behaviour.to_prefix] = (behaviour, now)

    def all(self, *, now: float) -> list[Behaviour]:
        """The rules in force with the count that is left."""
        self._expire(now)
        return [rule for rule, _ in self._rules.values()]

    def take(
        self, channel: Channel, to: str, *, now: float, modes: frozenset[Mode] = frozenset(Mode)
    ) -> Behaviour | None:
        """The rule for a message to `to` if its mode is one of `modes`, counted as used once."""
        self._expire(now)
        matching = [
            rule for rule, _ in self._rules.values() if rule.channel == channel and _matches(to, rule.to_prefix)
        ]
        rule = max(matching, key=lambda found: len(found.to_prefix), default=None)
        if rule is None or rule.mode not in modes:
            return None
        key = (rule.channel, rule.to_prefix)
        if rule.count == 1:
            del self._rules[key]
        elif rule.count > 1:
            self._rules[key] = (rule.model_copy(update={"count": rule.count - 1}), self._rules[key][1])
        return rule

    def _expire(self, now: float) -> None:
        self._rules = {
            key: (rule, since)
            for key, (rule, since) in self._rules.items()
            if rule.mode is Mode.DELAY or not rule.seconds or now < since + rule.seconds
        }


def _matches(to: str, prefix: str) -> bool:
    """A number matches with and without `+` and the country code 86."""
    plain, wanted = to.removeprefix("+").lower(), prefix.removeprefix("+").lower()
    return plain.startswith(wanted) or plain.removeprefix("86").startswith(wanted)
