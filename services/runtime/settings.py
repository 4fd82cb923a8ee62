"""Settings that every service has. A service adds its own in its `settings.py`; all are read from the environment.

A wrong setting stops the start: every problem is told at once, with the variable's name, its value and what is wanted.
"""

import json
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound="RuntimeSettings")

EXIT_WRONG_SETTINGS = 2


class Secret(SecretStr):
    """A password or key. Never logged."""


class RuntimeSettings(BaseSettings):
    """Where the parts are, and how a process behaves."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_", frozen=True, extra="ignore")
    SERVICE: ClassVar[str] = "amends"

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, `host:port` separated by commas.")
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Whether the way to Kafka is encrypted (`SSL`) and whether we sign in (`SASL`)."
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How we sign in to Kafka."
    )
    kafka_user: str = Field("", description="User to sign in to Kafka with.")
    kafka_password: Secret = Field(Secret(""), description="Its password.")
    kafka_ca: FilePath | None = Field(None, description="File of the authority that signs the brokers' certificates.")
    kafka_certificate: FilePath | None = Field(None, description="File of our certificate, where brokers ask for one.")
    kafka_key: FilePath | None = Field(None, description="File of the certificate's key.")
    mongo: str = Field("mongodb://127.0.0.1:27017", description="MongoDB connection string.")
    mongo_database: str = Field("amends", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="Name of the database.")
    redis: str = Field("redis://127.0.0.1:6379/0", description="Redis address. Redis may vanish at any time.")
    keyring: Path = Field(Path(".run/keyring.json"), description="File of the keys that personal data is sealed with.")
    partitions: int = Field(12, ge=1, le=1000, description="Partitions of every topic. The same for all of them.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of every partition; 3 in production.")
    http_host: str = Field("127.0.0.1", description="Address that the HTTP surface listens on.")
    http_port: int = Field(0, ge=0, le=65535, description="Port of the HTTP surface; 0 takes a free one.")
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses or networks, separated by commas, of proxies in front that say whom they speak for"
        " (`X-Forwarded-For`, `X-Forwarded-Proto`); nobody else is believed.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged at least.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is readable lines on a terminal, JSON elsewhere."
    )
    stop_s_max: float = Field(10.0, gt=0, le=60, description="Seconds from SIGTERM to the end, whatever hangs.")
    stall_s_max: float = Field(
        120.0, gt=1, description="Seconds without progress, though work waits, after which a worker ends itself."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        wrong = [one for one in _listed(proxies) if not _is_network(one)]
        if wrong:
            raise ValueError(f"neither addresses nor networks: {', '.join(wrong)}")
        return ",".join(_listed(proxies))

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        if self.kafka_protocol.startswith("SASL") and not (self.kafka_user and self.kafka_password.get_secret_value()):
            raise ValueError(
                f"AMENDS_KAFKA_PROTOCOL={self.kafka_protocol} needs AMENDS_KAFKA_USER and AMENDS_KAFKA_PASSWORD"
            )
        return self


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def load(kind: type[S], **given: Any) -> S:
    """The settings of a service, or the end of the process with every problem on standard error.

    Args:
        kind: the service's settings class.
        given: values that take the place of the environment's.
    """
    try:
        return kind(**given)
    except ValidationError as refusal:
        sys.stderr.write(f"{kind.SERVICE} cannot start, {refusal.error_count()} settings are wrong:\n")
        for problem in refusal.errors(include_url=False):
            name = "_".join(str(step) for step in problem["loc"]).upper()
            # What concerns several settings names them itself; and its input is all of them, secrets included.
            of = f"AMENDS_{name}={problem['input']!r}: " if name else ""
            sys.stderr.write(f"  {of}{problem['msg']}\n")
        sys.exit(EXIT_WRONG_SETTINGS)


def _as_given(value: Any) -> str:
    """As the environment would say it."""
    if isinstance(value, dict | tuple):
        return json.dumps(value)
    return "" if value is None else str(value)


def table(kind: type[RuntimeSettings]) -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of each setting: what the documentation shows."""
    return [
        (f"AMENDS_{name.upper()}", "" if field.is_required() else _as_given(field.default), field.description or "")
        for name, field in kind.model_fields.items()
    ]
