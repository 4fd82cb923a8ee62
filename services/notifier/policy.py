"""What the notifier may decide by itself, as data: `deploy/policies/notifications.yaml`. Pure."""

from datetime import time, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.codes import ApologyTier, Clock, Moment, Severity
from services.runtime.written import wall_time
from services.wording.signature import Signature

DAY_S: Final = 86_400
YEAR_S: Final = 366 * DAY_S

Seconds = Annotated[float, Field(gt=0, le=YEAR_S)]
WallTime = Annotated[time, BeforeValidator(wall_time)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MomentRule(_Part):
    """How messages about one moment are treated."""

    at_night: bool = False
    """Whether it may go in the quiet hours, whatever the severity."""
    capped: bool = True
    """Whether the customer's frequency cap counts for it. A legally required answer is always sent."""
    can_be_urgent: bool = True
    """Whether a grave case lets it go in the quiet hours. Nobody is woken to be asked how it was."""


class QuietHours(_Part):
    """Wall times in the complainant's zone."""

    start: WallTime = time(22)
    end: WallTime = time(8)
    spread_s: int = Field(600, ge=0, le=DAY_S)
    """What was held back goes within so many seconds after the end, not all at once."""
    urgent_from: Severity = Severity.CRITICAL
    """From this severity on every message is urgent and goes at night, too."""


class Cap(_Part):
    """So many messages to one number or address within so long; what is over it is not sent."""

    messages: int = Field(4, ge=1, le=10_000)
    within_s: Seconds = 3600


class Promise(_Part):
    """The time of the next answer that the confirmation names."""

    clock: Clock = Clock.FIRST_ANSWER
    wait_s: Seconds = 60.0
    """How long the confirmation waits for this clock to start, which it does some 50 ms after the ticket opens. Then it
    goes without a time. Far less than the limit of the confirmation itself."""


class Retry(_Part):
    """What is done when a provider does not take a message for now."""

    first_s: Seconds = 1.0
    factor: float = Field(2.0, ge=1, le=100)
    longest_s: Seconds = 60.0
    channel_s_max: Seconds = 120.0
    """After so long without success the next channel is tried, where there is one."""
    give_up_s: Seconds = 86_400.0
    """After so long it has failed."""

    def wait(self, tries: int) -> timedelta:
        """From the failure of try number `tries` (1, 2, ...) to the next one."""
        return timedelta(seconds=min(self.first_s * self.factor ** min(tries - 1, 32), self.longest_s))


class NotificationPolicy(Signature):
    """The whole of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1, le=2**31 - 1)
    moments: dict[Moment, MomentRule]
    quiet_hours: QuietHours = QuietHours()
    cap: Cap = Cap()
    promise: Promise = Promise()
    told_clocks: frozenset[Clock] = frozenset({Clock.FIRST_ANSWER, Clock.RESOLUTION})
    """When one of these moves to a later time, the complainant is told (`in_progress`)."""
    told_shift_s_min: Seconds = 3600
    """A smaller move is not worth a message."""
    apology: dict[Clock, ApologyTier]
    """Breaches that are apologised for, and by whom; a major complaint always by the regional head."""
    receipt_wait_s: Seconds = 300
    """An SMS without a receipt for so long counts as not delivered, and the next channel is tried."""
    retry: Retry = Retry()
    lease_s: Seconds = 15
    """A worker that claimed a message and is not heard of for so long is taken for dead."""
    lookup_after_s: Seconds = 2
    """From a connection that broke to asking the provider what it took: what was under way has arrived by then."""
    when_unknown: Literal["count_as_sent", "send_again"] = "count_as_sent"
    """When nobody can say whether a message was taken: rather none than two, or rather two than none."""
    email_counts_as_delivered: bool = True
    """E-mail has no receipts: 250 of the mail server is all there is. False: it stays `sent`."""
    stale_after_s: Seconds = 604_800
    """A moment that is told later than this is history: a replay into an empty database writes to nobody."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := set(Moment) - set(self.moments):
            raise ValueError(f"moments: nothing is said about {', '.join(sorted(missing))}")
        return self

    def goes_at_night(self, moment: Moment, severity: Severity) -> bool:
        """Whether quiet hours do not hold for this message."""
        rule = self.moments[moment]
        return rule.at_night or (rule.can_be_urgent and severity >= self.quiet_hours.urgent_from)
