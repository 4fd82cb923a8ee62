"""What is served of others is what they published, with its licence beside it."""

from hashlib import sha256
from importlib import resources
from pathlib import Path

import pytest
import yaml

FOLDER = Path(str(resources.files("services.desk").joinpath("static/vendor")))
VENDORED = yaml.safe_load((FOLDER / "vendored.yaml").read_text())


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_a_vendored_file_is_unchanged(name):
    """Nobody edits it: a newer version is copied with its digest."""
    assert sha256((FOLDER / name).read_bytes()).hexdigest() == VENDORED[name]["sha256"]
    assert (FOLDER / f"{name.split('.')[0]}.LICENSE").read_text().strip()


def test_nothing_else_lies_there():
    """Every file is in the list, or is a licence of one."""
    files = {path.name for path in FOLDER.iterdir()} - {"vendored.yaml"}
    assert {name for name in files if not name.endswith(".LICENSE")} == set(VENDORED)
