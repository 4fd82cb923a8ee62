"""What policy says of handling a ticket: who may promise how much, how long one may appeal, when one is asked. Pure."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from schemas.codes import StaffRole
from schemas.complaint import Money
from services.organisation.policy import Given

Days = Annotated[int, Field(ge=0, le=3660)]
Hours = Annotated[int, Field(ge=1, le=8760)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]

CENT: Final = Decimal("0.01")


class Approver(Given):
    """One rung of the chain of approval."""

    role: StaffRole
    amount_max: Amount | None = None
    """What the role may promise by itself; None: any amount."""


class Goodwill(Given):
    """What is suggested to be paid beyond what is owed."""

    factor: Annotated[Decimal, Field(ge=0, le=100)] = Decimal("1.5")
    amount_max: Amount = Decimal(500)


class Survey(Given):
    """When the complainant is asked how it was."""

    after_hours: Hours = 24
    every_hours: Hours = 20
    attempts: Annotated[int, Field(ge=0, le=10)] = 2
    satisfied_from: Annotated[int, Field(ge=1, le=5)] = 4
    """The least of the five points that counts as satisfied."""
    reopens: bool = True
    """Whether the ticket of somebody who is not satisfied is worked on again."""


class HandlingPolicy(Given):
    """Section `handling` of the directory."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "CNY"
    agent_amount_max: Amount = Decimal(200)
    """What anybody who answers may promise without approval."""
    approvers: tuple[Approver, ...] = (
        Approver(role=StaffRole.SUPERVISOR, amount_max=Decimal(2000)),
        Approver(role=StaffRole.CENTRE_MANAGER, amount_max=Decimal(20000)),
        Approver(role=StaffRole.MANAGEMENT),
    )
    """From the lowest to the highest."""
    goodwill: Goodwill = Goodwill()
    appeal_days: Days = 15
    """From answer or resolution; an answer that nobody objects to settles the matter then."""
    appeals_max: Annotated[int, Field(ge=0, le=10)] = 1
    reopen_days: Days = 30
    close_days: Days = 15
    """From resolution or decision."""
    survey: Survey = Survey()

    @model_validator(mode="after")
    def the_chain_rises(self) -> Self:
        """Every role is there once, each may promise more than the one before, and the last may promise anything."""
        problems = []
        roles = [approver.role for approver in self.approvers]
        problems += [f"approvers: {role} is there twice" for role in sorted({r for r in roles if roles.count(r) > 1})]
        limits = [self.agent_amount_max, *(a.amount_max for a in self.approvers[:-1])]
        for before, after in pairwise(limits):
            if before is None or after is None or after <= before:
                problems.append(f"approvers: {after} must be more than {before}, which somebody lower may promise")
        if not self.approvers or self.approvers[-1].amount_max is not None:
            problems.append("approvers: the last must have no amount_max, so that every amount can be approved")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def appeal_window(self) -> timedelta:
        """How long one may appeal."""
        return timedelta(days=self.appeal_days)

    @property
    def reopen_window(self) -> timedelta:
        """How long a settled ticket can be reopened."""
        return timedelta(days=self.reopen_days)

    def rank(self, role: StaffRole | None) -> int:
        """The rung of a role in the chain, from 0; -1 for one that approves nothing."""
        return next((i for i, approver in enumerate(self.approvers) if approver.role is role), -1)

    def covers(self, role: StaffRole | None, amount: Money) -> bool:
        """Whether a role may promise an amount by itself. Of another currency only the last of the chain may."""
        rank = self.rank(role)
        limit = self.agent_amount_max if rank < 0 else self.approvers[rank].amount_max
        return limit is None or (amount.currency == self.currency and amount.amount <= limit)

    def chain(self, role: StaffRole | None, amount: Money) -> tuple[StaffRole, ...]:
        """Who has to approve an amount that `role` proposes, one after the other; empty: nobody."""
        if self.covers(role, amount):
            return ()
        above = self.approvers[self.rank(role) + 1 :]
        last = next(i for i, approver in enumerate(above) if self.covers(approver.role, amount))
        return tuple(approver.role for approver in above[: last + 1])

    def suggested(self, loss: Money) -> Money:
        """Goodwill for an estimated loss: policy factor times loss, capped."""
        amount = loss.amount * self.goodwill.factor
        if loss.currency == self.currency:
            amount = min(amount, self.goodwill.amount_max)
        return Money(amount=amount.quantize(CENT, ROUND_HALF_UP), currency=loss.currency)
