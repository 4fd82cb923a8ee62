"""`deploy/compose.yaml` is what a compose implementation accepts, and starts every service on real images."""

import json
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

FILE = Path(__file__).parents[3] / "deploy" / "compose.yaml"
SERVICES = {"intake", "router", "sla_monitor", "notifier", "desk", "portal"}


@pytest.fixture
def composed():
    # YAML's merge keys are resolved first, as every implementation does.
    return yaml.safe_load(FILE.read_text())


def test_a_compose_parser_accepts_it(composed):
    """The specification's own grammar: a misspelt key or value is refused."""
    assert set(PyCompose.from_json(json.dumps(composed)).service_names()) >= SERVICES
    composed["services"]["intake"]["restart"] = "sometimes"
    with pytest.raises(ValueError, match="sometimes"):
        PyCompose.from_json(json.dumps(composed))


def test_every_image_is_named_with_a_version(composed):
    """What starts today starts the same in a year."""
    for name, service in composed["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert image, name
        assert image == "amends" or tag != "latest", name


def test_services_wait_for_topics_and_keys(composed):
    """A service that starts before its topics exist would have them made with the wrong number of partitions."""
    for name in SERVICES:
        assert composed["services"][name]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"
    assert composed["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_what_is_mounted_and_depended_on_exists(composed):
    """No volume, file or service is named that is not there."""
    for name, service in composed["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (FILE.parent / source).exists() if source.startswith(".") else source in composed["volumes"]
            assert known, (name, volume)
        assert set(service.get("depends_on", ())) <= set(composed["services"]), name


def test_links_in_messages_lead_to_the_portal(composed):
    """Not to the desk, whose port is its neighbour."""
    services = composed["services"]
    (port,) = services["portal"]["ports"]
    assert f"http://localhost:{port.split(':')[0]}}}" in services["notifier"]["environment"]["AMENDS_PORTAL_URL"]
    published = [one for service in services.values() for one in service.get("ports", ())]
    assert len({one.rpartition(":")[0].rpartition(":")[2] for one in published}) == len(published)


def test_the_keyring_is_made_by_whoever_reads_it(composed):
    """It is for its owner's eyes alone: made by root it would keep every service from starting."""
    ours = [service for service in composed["services"].values() if service["image"].startswith("amends:")]
    assert all("user" not in service for service in ours)
    image = (FILE.parent / "Dockerfile").read_text()
    (folder,) = {volume.partition(":")[2] for service in ours for volume in service.get("volumes", ())}
    assert f"install -d -o amends -g amends -m 700 {folder}" in image
    assert "USER amends" in image
