"""Settings of the portal."""

from typing import ClassVar

from limits import parse
from pydantic import Field, field_validator

from services.runtime.settings import RuntimeSettings


class PortalSettings(RuntimeSettings):
    """Limits of uploads must not be wider than the intake's, which has the last word."""

    SERVICE: ClassVar[str] = "portal"

    intake: str = Field("http://127.0.0.1:8000", description="HTTP address of the intake.")
    intake_s_max: float = Field(20.0, gt=0, description="Seconds to wait for the intake.")
    portal_rate_limit: str = Field(
        "300/minute", description="Requests of one client address, as `limits` writes it, over all processes."
    )
    portal_ticket_rate_limit: str = Field("120/minute", description="The same for one private page.")
    upload_bytes_max: int = Field(10_485_760, ge=1024, description="Size of one file that is uploaded.")
    upload_files_max: int = Field(10, ge=1, le=20, description="Files of one complaint or reply.")
    uploads_in_flight_max: int = Field(32, ge=1, description="Forms read at once; more are asked to come back.")
    form_s_max: float = Field(180.0, gt=0, description="Seconds within which a form must have arrived.")
    portal_store_s_max: float = Field(5.0, gt=0, description="Seconds to wait for the database.")
    outcome_s_max: float = Field(4.0, ge=0, le=30, description="Seconds to wait for what became of an action.")
    contact_line: str = Field(
        "", max_length=200, description="How else people reach you, shown on every page, e.g. a phone number."
    )

    @field_validator("portal_rate_limit", "portal_ticket_rate_limit")
    @classmethod
    def _limit_parses(cls, limit: str) -> str:
        parse(limit)
        return limit
