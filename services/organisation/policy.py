"""Rules of assignment and of review, as they stand in policy files. Pure."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.classification import ClassifierPolicy
from schemas.codes import SUBCODES, Category, Channel, RiskFlag, Severity, Source


class Given(BaseModel):
    """A part of a file that people write: an unknown field is a slip of the pen and refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

PLACE = "place"
"""As a rule's `unit`: the first known place that the complaint names."""


class When(Given):
    """Conditions of a rule. What is left out holds always; of what is given, one of the values must hold."""

    category: tuple[str, ...] = ()
    """`delay` for all of a category, `delay.transit` for one sub-code."""
    channel: tuple[Channel, ...] = ()
    source: tuple[Source, ...] = ()
    flags: tuple[RiskFlag, ...] = ()
    severity: tuple[Severity, ...] = ()
    region: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    """Kinds of unit (`outlet`, `hub`): the complaint names one that the directory knows."""

    @model_validator(mode="after")
    def categories_exist(self) -> Self:
        """Every category and sub-code is one of the field's."""
        known = {c.value for c in Category} | {f"{c.value}.{sub}" for c, subs in SUBCODES.items() for sub in subs}
        if unknown := [code for code in self.category if code not in known]:
            raise ValueError(f"unknown categories {', '.join(unknown)}; known are: {', '.join(sorted(known))}")
        return self


class Rule(Given):
    """One line of the assignment table."""

    name: Name
    when: When = When()
    department: Name
    unit: Name | None = None
    """A unit's code, or `place` for the one that the complaint names."""


class AssignmentPolicy(Given):
    """The table: the first rule that matches says which department has a ticket."""

    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def something_always_matches(self) -> Self:
        """Names are unique, and the last rule has no condition, so that no ticket is left over."""
        names = [rule.name for rule in self.rules]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"rules with the same name: {', '.join(sorted(doubled))}")
        if not self.rules or self.rules[-1].when != When():
            raise ValueError("the last rule must have no condition, so that every ticket has a department")
        return self


class RiskPolicy(Given):
    """When a person looks at a proposal first, and what makes a complaint a major one."""

    classifier: ClassifierPolicy = ClassifierPolicy()
    major_flags: tuple[RiskFlag, ...] = (
        RiskFlag.SAFETY,
        RiskFlag.LEGAL,
        RiskFlag.MEDIA,
        RiskFlag.REGULATOR,
        RiskFlag.SPECIAL_IDENTITY,
        RiskFlag.EXORBITANT_CLAIM,
        RiskFlag.COLLECTIVE,
    )

    def is_major(self, flags: Iterable[RiskFlag]) -> bool:
        """Whether a complaint with these flags has the stricter limits."""
        return any(flag in self.major_flags for flag in flags)
