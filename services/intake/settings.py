"""Settings of the intake."""

from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

from schemas.codes import Channel
from services.runtime.settings import RuntimeSettings


class IntakeSettings(RuntimeSettings):
    """Limits are per process unless they say otherwise."""

    SERVICE: ClassVar[str] = "intake"

    channel_zones: dict[Channel, str] = Field(
        {Channel.PHONE: "Asia/Shanghai", Channel.COUNTER: "Asia/Shanghai", Channel.LETTER: "Asia/Shanghai"},
        description="JSON: IANA zone in which a channel's times without offset are meant; elsewhere they are refused.",
    )
    body_bytes_max: int = Field(262_144, ge=1024, description="Size of one complaint's body.")
    body_s_max: float = Field(
        20.0, gt=0, description="Seconds within which a body, or the next piece of a batch, must have arrived."
    )
    requests_in_flight_max: int = Field(1000, ge=1, description="Requests worked on at once; more are answered 503.")
    accept_s_max: float = Field(
        2.0, gt=0, description="While accepting a complaint takes more seconds on average, most are answered 503."
    )
    bytes_in_flight_max: int = Field(
        67_108_864, ge=1_048_576, description="Bytes of bodies held at once; more requests are answered 503."
    )
    publish_s_max: float = Field(8.0, gt=0, description="Seconds to wait for Kafka before a complaint is answered 503.")
    store_s_max: float = Field(5.0, gt=0, description="Seconds to wait for the database before an answer of 503.")
    retry_after_s: int = Field(2, ge=1, description="What `Retry-After` says on 503.")
    rate_limit: str = Field(
        "600000/minute", description="Requests of one client address, as `limits` writes it, over all processes."
    )
    wait_s_max: float = Field(10.0, ge=0, le=60, description="The longest that `Prefer: wait` is honoured.")
    batch_bytes_max: int = Field(268_435_456, ge=1024, description="Size of one batch's body.")
    batch_lines_max: int = Field(200_000, ge=1, description="Lines of one batch.")
    batches_in_flight_max: int = Field(4, ge=1, description="Batches worked on at once; more are answered 503.")
    evidence_bytes_max: int = Field(10_485_760, ge=1024, description="Size of one file of evidence.")
    evidence_upload_bytes_max: int = Field(33_554_432, ge=1024, description="Size of all files of one upload.")
    evidence_files_max: int = Field(10, ge=1, le=20, description="Files in one upload.")
    rejected_bytes_max: int = Field(16_384, ge=0, description="How much of a refused body is kept, sealed.")
    rejected_days: int = Field(90, ge=1, description="Days for which refused complaints are kept.")

    @field_validator("channel_zones")
    @classmethod
    def _zones_exist(cls, zones: dict[Channel, str]) -> dict[Channel, str]:
        unknown = sorted(set(zones.values()) - available_timezones())
        if unknown:
            raise ValueError(f"no such time zone: {', '.join(unknown)}")
        return zones

    @field_validator("rate_limit")
    @classmethod
    def _limit_parses(cls, limit: str) -> str:
        from limits import parse  # noqa: PLC0415  # only the intake needs it, and only here

        parse(limit)
        return limit

    def zones(self) -> dict[Channel, ZoneInfo]:
        """The zones as the rules take them."""
        return {channel: ZoneInfo(name) for channel, name in self.channel_zones.items()}
