"""The trained second opinion: a linear model over letter pairs, words and concepts, asked when the rules are undecided.

Its weights are small whole numbers (`data/model.tsv`), written by `amends train-classifier` from text that the project
wrote. At run time one integer per feature holds the weights of all matters side by side, so that adding up a text's
features is adding integers.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Final, NamedTuple

from services.router.classifier.lexicon import Reading

DATA: Final = files("services.router.classifier") / "data"
WEIGHT_MAX: Final = 40
"""Weights lie between -WEIGHT_MAX and WEIGHT_MAX, so that one is one printable character."""
ZERO: Final = 78
"""Character code of the weight 0."""
_LANE_BYTES: Final = 4
_LATIN_MAX: Final = "\u2fff"


def features(reading: Reading) -> list[str]:
    """What the model looks at: pairs of Chinese characters, English stems and their pairs, what the word list found."""
    return [pair for pair in reading.pairs if min(pair) > _LATIN_MAX] + _said(reading)


def _said(reading: Reading) -> list[str]:
    """The features beside the pairs of characters. None of them is two Chinese characters."""
    stems = reading.stems
    return [
        "*",  # how common a matter is, whatever the text says
        *[f"_{stem}" for stem in stems],
        *[f"_{first}_{second}" for first, second in pairwise(stems)],
        *[f"={name}" for name in reading.found],
    ]


class Opinion(NamedTuple):
    """What the model holds of one text."""

    sums: Mapping[str, int]
    """Of the weights for every matter: what they differ by says something."""
    middle: int
    scale: float

    def of(self, code: str) -> float:
        """Score of a matter, 0 for the middle one; the length of the text does not change the scale."""
        return (self.sums[code] - self.middle) / self.scale


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of every feature for every matter."""

    codes: tuple[str, ...]
    pairs: Mapping[str, int]
    """Of pairs of Chinese characters; other pairs of a text need not be told apart before they are looked up here."""
    said: Mapping[str, int]
    """Of all other features."""

    def opinion(self, reading: Reading) -> Opinion:
        """What it holds of a text."""
        hits = [*filter(None, map(self.pairs.get, set(reading.pairs)))]
        hits += filter(None, map(self.said.get, set(_said(reading))))
        # Every lane has ZERO once per feature added, so that differences between lanes are those of the weights.
        sums = struct.unpack(f"<{len(self.codes)}I", sum(hits).to_bytes(len(self.codes) * _LANE_BYTES, "little"))
        middle, scale = sorted(sums)[len(sums) // 2], math.sqrt(len(hits) or 1)
        return Opinion(dict(zip(self.codes, sums, strict=True)), middle, scale)


def pack(weights: str) -> int:
    """Put the weights of one feature, one character each, side by side into one integer."""
    lanes = bytearray(len(weights) * _LANE_BYTES)
    lanes[::_LANE_BYTES] = weights.encode("ascii")
    return int.from_bytes(lanes, "little")


def written(codes: Sequence[str], weights: Mapping[str, Sequence[int]], digest: str) -> str:
    """The data file: a line with the digest of what it was built from, a line of matters, a line per feature."""
    lines = [f"#\t{digest}", "\t".join(codes)]
    lines += [
        name + "\t" + "".join(chr(ZERO + max(-WEIGHT_MAX, min(WEIGHT_MAX, weight))) for weight in weights[name])
        for name in sorted(weights)
    ]
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1)
def trained() -> Model:
    """The model of the package, read once per process."""
    _, codes, *lines = (DATA / "model.tsv").read_text(encoding="utf-8").split("\n")
    packed = {name: pack(weights) for name, weights in (line.split("\t") for line in lines if line)}
    pairs = {name: weights for name, weights in packed.items() if min(name) > _LATIN_MAX}
    return Model(tuple(codes.split("\t")), pairs, {name: packed[name] for name in packed.keys() - pairs.keys()})
