"""What the classifier says of one complaint, and the policy numbers it is run with."""

from datetime import date
from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from schemas.codes import (
    SUBCODES,
    Category,
    CustomerStyle,
    Demand,
    Grade,
    Nature,
    RiskFlag,
    Role,
    Severity,
    SpecialIdentity,
)
from schemas.message import Part


class Matter(Part):
    """A category with its sub-code, or without where the text does not tell."""

    category: Category
    sub: str | None = None

    @model_validator(mode="after")
    def sub_belongs_to_category(self) -> Self:
        """A sub-code is one of its category's."""
        if self.sub is not None and self.sub not in SUBCODES[self.category]:
            known = ", ".join(SUBCODES[self.category])
            raise ValueError(f"{self.sub!r} is no sub-code of {self.category.value}; known are: {known}")
        return self

    @property
    def code(self) -> str:
        """Dotted form, such as `operation_error.false_signoff` or `loss`."""
        return f"{self.category}.{self.sub}" if self.sub else str(self.category)


class Evidence(Part):
    """A word of the classifier's own vocabulary that occurs in the text, and the code that it speaks for."""

    word: str
    says: str


class Classification(Part):
    """The machine's proposal for one complaint.

    `confidence` is the share of proposals right at that score, as measured on real complaints; `needs_review` sends the
    ticket to a human with this proposal filled in and never stops a clock.
    """

    primary: Category
    sub: str | None
    secondary: tuple[Matter, ...] = ()
    demand: tuple[Demand, ...] = (Demand.NONE,)
    nature: Nature
    grade: Grade
    severity: Severity
    style: CustomerStyle = CustomerStyle.UNKNOWN
    flags: tuple[RiskFlag, ...] = ()
    confidence: float = Field(ge=0, le=1)
    carrier_matter: bool
    evidence: tuple[Evidence, ...] = ()
    needs_review: bool


class Facts(Part):
    """What is known of a complaint outside its text."""

    declared_value: float | None = Field(default=None, ge=0, description="in the currency of the waybill")
    claimed_value: float | None = Field(default=None, ge=0, description="in the same currency")
    role: Role | None = None
    special_identity: SpecialIdentity | None = None
    channel: str | None = None
    complaints_before: int = Field(default=0, ge=0, description="of the same person or waybill on the same matter")
    days_since_first_complaint: float | None = Field(default=None, ge=0)


class ClassifierPolicy(Part):
    """Numbers of the classifier that a policy file may change."""

    confidence_min: float = Field(default=0.7, ge=0, le=1, description="under it a human looks")
    severity_review_min: int = Field(default=4, ge=1, le=5, description="from it on a human looks")
    review_flags: tuple[RiskFlag, ...] = (
        RiskFlag.SAFETY,
        RiskFlag.LEGAL,
        RiskFlag.MEDIA,
        RiskFlag.PRIVACY_LEAK,
        RiskFlag.SPECIAL_IDENTITY,
        RiskFlag.EXORBITANT_CLAIM,
        RiskFlag.MALICIOUS,
    )
    long_running_days_min: float = Field(default=10, gt=0)
    exorbitant_claim_factor: float = Field(default=10, gt=1, description="claimed over declared value")
    secondary_score_min: float = Field(default=2.2, gt=0, description="what a further matter must score to be named")
    chars_read_max: int = Field(default=1200, ge=100, description="of a longer text both ends are read")
    evidence_max: int = Field(default=8, ge=1)


class Amount(Part):
    """A sum of money named in a text; currency is ISO 4217."""

    value: Decimal
    currency: str


class Extracted(Part):
    """What a text names besides words, each in order of first appearance and once.

    Waybill numbers and codes are upper case without blanks; phone numbers are E.164; a date without a year is resolved
    only against a reference date; relative dates ("昨天", "last week") stay words.
    """

    waybills: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    amounts: tuple[Amount, ...] = ()
    dates: tuple[date, ...] = ()
    relative_dates: tuple[str, ...] = ()


class ExtractionPolicy(Part):
    """Patterns of extraction that a policy file may change."""

    code_pattern: str = Field(
        default=r"(?:NET|HUB|DEP|WD|FB)-?\d{2,6}",
        description="outlet and hub codes: NET-1234 an outlet, HUB-02 a hub, DEP-7 a depot, WD/FB the same in pinyin",
    )
    area_code_pattern: str = Field(
        default=r"\d{3}[A-Z]{1,3}\d{0,2}",
        description="area number with letters, such as 755AB; taken only beside a word for outlet or hub",
    )
    regions: tuple[str, ...] = Field(
        default=("CN",), description="where a phone number without country code is at home"
    )
    chars_read_max: int = Field(default=20_000, ge=100)
