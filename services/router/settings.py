"""Settings of the router."""

from typing import ClassVar

from pydantic import Field

from services.organisation.directory import Zone
from services.runtime.settings import RuntimeSettings


class RouterSettings(RuntimeSettings):
    """What the router alone is told."""

    SERVICE: ClassVar[str] = "router"

    number_time_zone: Zone = Field(
        "Asia/Shanghai", description="IANA zone in which the month of a ticket number begins."
    )
    text_window_days: float = Field(
        7.0, gt=0, le=3650, description="Days within which the same text from the same person is the same matter."
    )
    router_batch_max: int = Field(2000, ge=1, le=5000, description="Most messages of a batch.")
    router_linger_s: float = Field(0.02, ge=0, le=1, description="Seconds that a batch waits for more messages.")
    directory_poll_s: float = Field(2.0, gt=0, le=60, description="Seconds between looks at directory and capacity.")
    offer_s: float = Field(1.0, gt=0, le=60, description="Seconds between offers of waiting tickets to free people.")
    step_s: float = Field(5.0, gt=0, le=3600, description="Seconds between looks at what time alone brings about.")
