"""The borders that `make fuzz` works on: what was found there once, and some thousand inputs chosen by a seed."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CRASHES = Path(__file__).parents[1] / "fuzz" / "crashes"
FOUND = sorted(path for path in CRASHES.rglob("*") if path.is_file() and path.name != "README.md")
ROUNDS = 300


def test_what_was_found_once_is_mended() -> None:
    """It raises nothing, and comes to an end."""
    for path in FOUND:
        TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_damaged_examples_raise_nothing_unforeseen(name: str) -> None:
    """Cut, doubled, with bytes changed or parts of another example in them; the same ones in every run."""
    rng = random.Random(name)
    seeds = TARGETS[name].seeds()
    for seed in seeds:
        TARGETS[name].run(seed)
    for _ in range(ROUNDS):
        TARGETS[name].run(damaged(rng, seeds))


def damaged(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of them, changed in up to four places."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 4)):
        at, to = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                del data[min(at, to) : max(at, to)]
            case 1:
                data[at:at] = bytes(rng.choices(range(256), k=rng.randint(1, 8)))
            case 2:
                other = rng.choice(seeds)
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + 40]
            case 3:
                data[at:at] = data[to : to + 20] * rng.randint(1, 4)
            case _:
                data[at : at + 1] = rng.choice([b"9" * 40, b"null", b"-1", b"[]", b"{}", b"\0", b"\xff", b'"', b":"])
    return bytes(data)
