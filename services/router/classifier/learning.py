"""Learn the model's weights: an averaged perceptron in whole numbers, so that every machine writes the same bytes.

Source: Freund and Schapire, "Large Margin Classification Using the Perceptron Algorithm" (1999); Collins (2002).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from services.router.classifier.lexicon import Lexicon
from services.router.classifier.model import DATA, WEIGHT_MAX, features, written
from services.router.classifier.training import texts

TEXTS_PER_MATTER: Final = {"zh": 90, "en": 60}
SEEDS: Final = (7, 8, 9)
"""One model is learned from the texts of each seed; their weights are averaged, which evens out the chance in them."""
PASSES: Final = 4
MARGIN: Final = 15
"""A right answer closer than this to the next is learned from as a wrong one is."""
_SEEN_MIN: Final = 4
_KEPT_MIN: Final = 2
_SCALE: Final = 2
_FINE: Final = 8
_INPUTS: Final = ("lexicon.txt", "patterns.txt", "training_en.txt", "training_zh.txt")

Example = tuple[list[str], int]


def inputs_digest() -> str:
    """Digest of everything that decides the model's weights; it stands in the first line of the data file."""
    numbers = (TEXTS_PER_MATTER, SEEDS, PASSES, MARGIN, _SEEN_MIN, _KEPT_MIN, _SCALE, _FINE, WEIGHT_MAX)
    digest = hashlib.sha256(repr(numbers).encode())
    for name in _INPUTS:
        digest.update((DATA / name).read_bytes())
    return digest.hexdigest()


def built(per_matter: Mapping[str, int] = TEXTS_PER_MATTER) -> str:
    """Write the training texts, learn from them, and return the content of the data file."""
    lexicon = Lexicon()
    codes: list[str] = []
    sums: dict[str, list[int]] = {}
    for seed in SEEDS:
        raw = [
            (sorted(set(features(lexicon.read(text.lower())))), code)
            for language, count in per_matter.items()
            for text, code in texts(language, count, seed)
        ]
        seen = Counter(name for names, _ in raw for name in names)
        codes = sorted({code for _, code in raw})
        index = {code: position for position, code in enumerate(codes)}
        examples = [([name for name in names if seen[name] >= _SEEN_MIN], index[code]) for names, code in raw]
        for name, row in learned(examples, len(codes), seed).items():
            before = sums.get(name)
            sums[name] = [x + y for x, y in zip(before, row, strict=True)] if before else row
    parts = _FINE * len(SEEDS)
    weights = {name: [_rounded(_SCALE * total, parts) for total in row] for name, row in sums.items()}
    kept = {name: row for name, row in weights.items() if max(map(abs, row)) >= _KEPT_MIN}
    return written(codes, kept, inputs_digest())


def learned(examples: Sequence[Example], classes: int, seed: int) -> dict[str, list[int]]:
    """Average weights of each feature per class, times `_FINE`, as whole numbers; `seed` orders the examples."""
    weights: dict[str, list[int]] = {name: [0] * classes for names, _ in examples for name in names}
    sums: dict[str, list[int]] = {name: [0] * classes for name in weights}
    order = list(examples)
    chance = random.Random(seed)  # noqa: S311  # not a secret: the order must be the same every time
    step = 1
    for _ in range(PASSES):
        chance.shuffle(order)
        for names, right in order:
            scores = [sum(column) for column in zip(*(weights[name] for name in names), strict=True)] or [0] * classes
            best = max((c for c in range(classes) if c != right), key=scores.__getitem__)
            if scores[best] + MARGIN > scores[right]:
                for name in names:
                    row, total = weights[name], sums[name]
                    row[right] += 1
                    total[right] += step
                    row[best] -= 1
                    total[best] -= step
            step += 1
    return {
        name: [_rounded(_FINE * (now * step - total), step) for now, total in zip(row, sums[name], strict=True)]
        for name, row in weights.items()
    }


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
