"""Settings of the SLA monitor."""

from typing import ClassVar

from pydantic import Field

from services.runtime.settings import RuntimeSettings


class SlaMonitorSettings(RuntimeSettings):
    """What the SLA monitor alone is told."""

    SERVICE: ClassVar[str] = "sla_monitor"

    sla_batch_max: int = Field(2000, ge=1, le=5000, description="Most messages of a batch.")
    sla_linger_s: float = Field(0.02, ge=0, le=1, description="Seconds that a batch waits for more messages.")
    policy_poll_s: float = Field(2.0, gt=0, le=60, description="Seconds between looks for a new policy version.")
    clocks_count_s: float = Field(
        15.0, gt=0, le=3600, description="Seconds between counts of the open clocks; longer when counting takes long."
    )
    deadline_window_s: float = Field(
        120.0, ge=1, le=3600, description="How far ahead deadlines are held in memory, in seconds."
    )
    deadline_window_max: int = Field(
        200_000, ge=1000, le=2_000_000, description="Most deadlines in memory; with more the window is shorter."
    )
