"""How every Kafka client of Amends reaches the brokers: one place for addresses, encryption and sign-in."""

from ssl import SSLContext
from typing import TypedDict

from aiokafka.helpers import create_ssl_context

from services.runtime.settings import RuntimeSettings


class Connection(TypedDict, total=False):
    """Arguments that aiokafka's consumer, producer and admin client have in common."""

    bootstrap_servers: str
    security_protocol: str
    ssl_context: SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


def connection(settings: RuntimeSettings) -> Connection:
    """The arguments for these settings.

    Raises:
        OSError: a certificate or key file cannot be read.
        ssl.SSLError: it holds no certificate or key.
    """
    arguments: Connection = {"bootstrap_servers": settings.kafka, "security_protocol": settings.kafka_protocol}
    if settings.kafka_protocol.endswith("SSL"):
        arguments["ssl_context"] = create_ssl_context(
            cafile=settings.kafka_ca and str(settings.kafka_ca),
            certfile=settings.kafka_certificate and str(settings.kafka_certificate),
            keyfile=settings.kafka_key and str(settings.kafka_key),
        )
    if settings.kafka_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_mechanism
        arguments["sasl_plain_username"] = settings.kafka_user
        arguments["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return arguments
