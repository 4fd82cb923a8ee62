"""What the classifier, or a person who corrects it, says of a complaint."""

from typing import Self

from pydantic import model_validator

from schemas.codes import SUBCODES, Category, CustomerStyle, Demand, Grade, Nature, RiskFlag, Severity
from schemas.message import Part


class CategoryRef(Part):
    """A category with its sub-code, where one is known."""

    category: Category
    sub: str | None = None

    @model_validator(mode="after")
    def sub_belongs_to_category(self) -> Self:
        """A sub-code is one of its category's."""
        if self.sub is not None and self.sub not in SUBCODES[self.category]:
            known = ", ".join(SUBCODES[self.category])
            raise ValueError(f"{self.sub!r} is no sub-code of {self.category.value}; known are: {known}")
        return self

    def __str__(self) -> str:
        """As it is written in policies, e.g. `delay.transit`."""
        return f"{self.category.value}.{self.sub}" if self.sub else self.category.value


class Evidence(Part):
    """A word of the classifier's own vocabulary that stood in the text, and what it speaks for."""

    word: str
    says: str
    """A category with sub-code, a demand or a risk flag, e.g. `delay.transit`."""


class Classification(Part):
    """The understanding of one complaint."""

    primary: CategoryRef
    secondary: tuple[CategoryRef, ...] = ()
    demand: tuple[Demand, ...] = (Demand.NONE,)
    nature: Nature = Nature.FUNCTIONAL
    grade: Grade = Grade.STAFF
    severity: Severity = Severity.NORMAL
    style: CustomerStyle = CustomerStyle.UNKNOWN
    flags: tuple[RiskFlag, ...] = ()
    confidence: float
    """0..1: of the complaints classified with this confidence, about this share is right."""
    carrier_matter: bool = True
    evidence: tuple[Evidence, ...] = ()
    needs_review: bool = False
    """Whether a person must look at it first: confidence is low or the risk high."""
