"""Settings of the desk."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from services.desk.sign_in_settings import SignInSettings


class DeskSettings(SignInSettings):
    """What the desk alone is told."""

    SERVICE: ClassVar[str] = "desk"

    desk_batch_max: int = Field(1000, ge=1, le=5000, description="Most messages of a batch.")
    desk_linger_s: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Seconds that a batch waits for more messages: what comes of one ticket together is one write.",
    )
    desk_store_s_max: float = Field(5.0, gt=0, description="Seconds to wait for the database before an answer of 503.")
    desk_export_rows_max: int = Field(100_000, ge=1, le=1_000_000, description="Most tickets of one export.")
    desk_body_bytes_max: int = Field(8_388_608, ge=65_536, description="Size of a request without files.")
    desk_upload_bytes_max: int = Field(
        109_051_904, ge=65_536, description="Size of a form with files; the intake says how large each may be."
    )
    desk_live_poll_s: float = Field(
        1.0, gt=0, le=60, description="Seconds between looks for changes while Redis is away."
    )
    desk_command_s_max: float = Field(
        8.0, gt=0, le=60, description="Seconds to wait for the router's decision before an answer of 202."
    )
    desk_erase_s: float = Field(5.0, gt=0, le=3600, description="Seconds between looks for erasures to carry out.")
    intake: str = Field(
        "http://127.0.0.1:8000",
        pattern=r"^https?://[^/\s]+$",
        description="Address of the intake, for complaints that staff take.",
    )
    portal_url: str = Field(
        "",
        pattern=r"^$|^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Where complainants' own pages are, as the notifier is told: a preview counts how long links are.",
    )
    notification_policy: Path | None = Field(
        None, description="File of the notification policy, of which the desk reads the names under messages."
    )
