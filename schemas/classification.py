"""What the classifier says of one complaint, and the policy numbers it is run with."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.codes import Category, CustomerStyle, Demand, Grade, Nature, RiskFlag, Role, Severity, SpecialIdentity


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Matter(_Frozen):
    """A category with its sub-code, or without where the text does not tell."""

    category: Category
    sub: str | None = None

    @property
    def code(self) -> str:
        """Dotted form, such as `operation_error.false_signoff` or `loss`."""
        return f"{self.category}.{self.sub}" if self.sub else str(self.category)


class Evidence(_Frozen):
    """A word of the classifier's own vocabulary that occurs in the text, and the code that it speaks for."""

    word: str
    says: str


class Classification(_Frozen):
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


class Facts(_Frozen):
    """What is known of a complaint outside its text."""

    declared_value: float | None = Field(default=None, ge=0, description="in the currency of the waybill")
    claimed_value: float | None = Field(default=None, ge=0, description="in the same currency")
    role: Role | None = None
    special_identity: SpecialIdentity | None = None
    channel: str | None = None
    complaints_before: int = Field(default=0, ge=0, description="of the same person or waybill on the same matter")
    days_since_first_complaint: float | None = Field(default=None, ge=0)


class ClassifierPolicy(_Frozen):
    """Numbers of the classifier that a policy file may change."""

    confidence_min: float = Field(default=0.55, ge=0, le=1, description="under it a human looks")
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
