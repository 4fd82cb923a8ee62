"""Brokers that want encryption and a sign-in, as they do in production."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import CollectorRegistry

from deploy.local.kafka import kafka_parts
from deploy.local.part import await_ready, spawn, terminate
from deploy.local.ports import kept_ports
from schemas.topics import TICKET_EVENT
from services.cli.topic_reading import read_to_end
from services.runtime.consuming import Consumption
from services.runtime.metrics import ConsumingMetrics, ProducingMetrics
from services.runtime.producing import Producer, PublishFailed, Record
from services.runtime.settings import RuntimeSettings, Secret
from services.runtime.topics import create_topics_async
from tests.integration.runtime.probing import Log, eventually

pytestmark = pytest.mark.integration

USER, PASSWORD = "amends", "not-so-secret"


@pytest.fixture
def secured(tmp_path: Path, stack: object) -> Iterator[RuntimeSettings]:
    """A broker with a listener for SASL over TLS, and the settings that fit."""
    ports = kept_ports(tmp_path, ("broker", "controller", "secured"))
    certificate = _certificate(tmp_path)
    (part,) = kafka_parts(folder=tmp_path, ports=[ports["broker"], ports["controller"]])
    properties = tmp_path / "kafka" / "server.properties"
    listener = f"SASL_SSL://127.0.0.1:{ports['secured']}"
    lines = [
        f"{line},{listener}" if line.startswith(("listeners=", "advertised.listeners=")) else line
        for line in properties.read_text().splitlines()
    ]
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    lines += [
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms=PLAIN",
        f'listener.name.sasl_ssl.plain.sasl.jaas.config={module} required user_{USER}="{PASSWORD}";',
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={certificate}",
    ]
    properties.write_text("\n".join(lines))
    process: subprocess.Popen[bytes] = spawn(part)
    try:
        await_ready(part, alive=lambda: process.poll() is None)
        yield RuntimeSettings(
            kafka=f"127.0.0.1:{ports['secured']}",
            kafka_protocol="SASL_SSL",
            kafka_mechanism="PLAIN",
            kafka_user=USER,
            kafka_password=Secret(PASSWORD),
            kafka_ca=certificate,
            partitions=1,
        )
    finally:
        terminate(process)


async def test_every_client_signs_in_over_tls(secured: RuntimeSettings) -> None:
    """Topics are made, a record is published, a service consumes it, the check from outside reads it."""
    await create_topics_async(secured)
    log = Log()
    producer = Producer(secured, ProducingMetrics(CollectorRegistry()))
    consumption = Consumption("probe", [TICKET_EVENT], log, secured, producer, ConsumingMetrics(CollectorRegistry()))
    await producer.start()
    await consumption.start()
    try:
        await producer.publish_records([Record(topic=TICKET_EVENT.name, key=b"k", value=b"no event", headers=[])])
        await eventually(lambda: consumption.finished == 1)
    finally:
        await consumption.stop()
        await producer.stop()
    assert [r.offset async for r in read_to_end(secured, [TICKET_EVENT.name])] == [0]
    assert [r.headers["dl_topic"] async for r in read_to_end(secured, [TICKET_EVENT.dead_letters])] == [b"ticket-event"]


async def test_a_wrong_password_is_no_way_in(secured: RuntimeSettings) -> None:
    """Nothing is published, and the error says that Kafka cannot be reached."""
    wrong = secured.model_copy(update={"kafka_password": Secret("guessed")})
    producer = Producer(wrong, ProducingMetrics(CollectorRegistry()))
    with pytest.raises(PublishFailed, match="does not answer"):
        await producer.publish_records([Record(topic=TICKET_EVENT.name, key=b"k", value=b"v", headers=[])])
    await producer.stop()


def _certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "amends test broker")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "broker.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
    )
    return file
