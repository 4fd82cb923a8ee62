"""Apache Kafka in KRaft mode from its jars on Maven Central: one broker, or three that replicate.

Every node is broker and controller. Settings that differ from Kafka's defaults have their reason beside them.
"""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import click

from deploy.local.cache import cache_folder, file_lock
from deploy.local.java import java
from deploy.local.part import Part, PartUnavailableError

KAFKA_VERSION = "4.1.1"
_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.3"),
    ("org.apache.logging.log4j", "log4j-core", "2.25.3"),
)
_CLUSTER_ID = "YW1lbmRzLWxvY2FsLXN0aw"  # sixteen bytes in base64, as the storage tool wants it
_ADVICE = "Look for a port taken by another program or for too little memory, or set AMENDS_KAFKA to your own brokers."

_LOG4J = """\
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
"""


def kafka_parts(*, folder: Path, ports: list[int], fronts: Mapping[str, int] | None = None) -> list[Part]:
    """The brokers of one cluster, formatted and ready to run.

    Args:
        folder: Where node n keeps its data in `kafka-<n>`; a single one is `kafka`.
        ports: Two for each node, broker then controller.
        fronts: By name of the node, the port at which clients and the other nodes are told to find it, where something
            else listens that passes on to the node.

    Raises:
        PartUnavailableError: Java or the jars cannot be had.
    """
    brokers, controllers = ports[0::2], ports[1::2]
    classpath = f"{fetch_jars()}/*"
    parts = []
    for node, (broker, controller) in enumerate(zip(brokers, controllers, strict=True), start=1):
        name = "kafka" if len(brokers) == 1 else f"kafka-{node}"
        home = folder / name
        home.mkdir(parents=True, exist_ok=True)
        (home / "log4j2.properties").write_text(_LOG4J)
        front = (fronts or {}).get(name, broker)
        voters = ",".join(f"{voter}@127.0.0.1:{port}" for voter, port in enumerate(controllers, start=1))
        settings = _settings(node=node, broker=broker, front=front, controller=controller, voters=voters, home=home)
        (home / "server.properties").write_text(
            settings + _replication(len(brokers)),
        )
        _format(home, classpath)
        parts.append(
            Part(
                name=name,
                command=(*_jvm(home, "-Xmx384m", "-Xms128m"), "-cp", classpath, "kafka.Kafka", "server.properties"),
                folder=home,
                address=f"127.0.0.1:{front}",
                probe=lambda port=front: probe_kafka(f"127.0.0.1:{port}", brokers=len(brokers)),  # type: ignore[misc]
                advice=_ADVICE,
            )
        )
    return parts


def probe_kafka(bootstrap: str, *, brokers: int) -> None:
    """Ask for the cluster's metadata; raises while fewer than `brokers` nodes have registered."""
    host, port = bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=1).close()
    # In a thread of its own, because the caller may sit in an event loop.
    with ThreadPoolExecutor(1) as thread:
        seen = thread.submit(asyncio.run, _count_brokers(bootstrap)).result()
    if seen < brokers:
        raise ConnectionError(f"{seen} of {brokers} brokers have registered")


async def _count_brokers(bootstrap: str) -> int:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - heavy, and needed only here

    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await client.start()
        return len(cast("dict[str, list[object]]", await client.describe_cluster())["brokers"])
    finally:
        await client.close()


def fetch_jars() -> Path:
    """The folder of Kafka's jars, fetched once: by Maven when it is there, else by `jgo`.

    Raises:
        PartUnavailableError: Neither works.
    """
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    with file_lock(cache_folder() / "kafka.lock"):
        if folder.exists():
            return folder
        click.echo(f"Fetching Kafka {KAFKA_VERSION} (43 MB) into {folder}, once.", err=True)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        failures = []
        for fetch in (_fetch_by_maven, _fetch_by_jgo):
            try:
                fetch(partial)
            except Exception as error:  # noqa: BLE001 - each way has errors of its own; the next way is tried
                failures.append(f"{fetch.__name__.removeprefix('_fetch_by_')}: {error}")
                continue
            partial.rename(folder)
            return folder
    raise PartUnavailableError(
        "Kafka's jars cannot be fetched: check the network or set AMENDS_KAFKA to your own brokers.\n"
        + "\n".join(failures)
    )


def _fetch_by_maven(folder: Path) -> None:
    if not shutil.which("mvn"):
        raise FileNotFoundError("mvn is not installed")
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in _ARTIFACTS
    )
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>amends</groupId><artifactId>kafka</artifactId>"
        f"<version>1</version><dependencies>{dependencies}</dependencies></project>"
    )
    _run(
        "mvn", "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime",
        f"-DoutputDirectory={folder}", timeout_s=600,
    )  # fmt: skip


def _fetch_by_jgo(folder: Path) -> None:
    import jgo  # noqa: PLC0415 - optional: needed only where Maven is not installed

    # One by one, for asked together, the versions that log4j manages would be forced on Kafka's dependencies; and log4j
    # first, for Kafka names an older one.
    found: dict[tuple[str, str], Any] = {}
    for artifact in reversed(_ARTIFACTS):
        for jar in jgo.resolve(":".join(artifact)):
            found.setdefault((jar.groupId, jar.artifactId), jar)
    for jar in found.values():
        shutil.copy(jar.resolve(), folder)


def _format(home: Path, classpath: str) -> None:
    if (home / "data" / "meta.properties").exists():
        return
    _run(
        *_jvm(home, "-Xmx128m"), "-cp", classpath, "kafka.tools.StorageTool", "format", "--ignore-formatted",
        "--cluster-id", _CLUSTER_ID, "--config", str(home / "server.properties"), timeout_s=120,
    )  # fmt: skip


def _jvm(home: Path, *memory: str) -> tuple[str, ...]:
    # The first compiler alone: half the time to start, 100 MB less, and as fast at what one machine can ask of it.
    return (
        java(), *memory, "-XX:TieredStopAtLevel=1", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
        "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
    )  # fmt: skip


def _run(*command: str, timeout_s: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PartUnavailableError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise PartUnavailableError(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def _settings(*, node: int, broker: int, front: int, controller: int, voters: str, home: Path) -> str:
    return f"""\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{front}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={home / "data"}
# Topics are made by name with their partitions; a typing error must not make one.
auto.create.topics.enable=false
# A killed broker that comes back may not register before its old session has run out (9 s by default).
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
# A consumer alone in its group need not wait for others.
group.initial.rebalance.delay.ms=0
# Small machine: 50 partitions of offsets and 128 MB for the cleaner are for clusters.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=2
share.coordinator.state.topic.num.partitions=1
log.cleaner.dedupe.buffer.size=16777216
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
"""


def _replication(brokers: int) -> str:
    factor, in_sync = (3, 2) if brokers >= 3 else (1, 1)
    return "".join(
        f"{name}={value}\n"
        for name, value in (
            ("default.replication.factor", factor),
            ("min.insync.replicas", in_sync),
            ("offsets.topic.replication.factor", factor),
            ("transaction.state.log.replication.factor", factor),
            ("transaction.state.log.min.isr", in_sync),
            ("share.coordinator.state.topic.replication.factor", factor),
            ("share.coordinator.state.topic.min.isr", in_sync),
        )
    )
