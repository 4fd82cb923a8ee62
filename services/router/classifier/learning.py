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

TEXTS_PER_MATTER: Final = {"zh": 130, "en": 80}
SEED: Final = 7
PASSES: Final = 5
MARGIN: Final = 5
_SEEN_MIN: Final = 4
_KEPT_MIN: Final = 2
_SCALE: Final = 2
_INPUTS: Final = ("lexicon.txt", "patterns.txt", "training_en.txt", "training_zh.txt")

Example = tuple[list[str], int]


def inputs_digest() -> str:
    """Digest of everything that decides the model's weights; it stands in the first line of the data file."""
    digest = hashlib.sha256(repr((TEXTS_PER_MATTER, SEED, PASSES, _SEEN_MIN, _KEPT_MIN, _SCALE, WEIGHT_MAX)).encode())
    for name in _INPUTS:
        digest.update((DATA / name).read_bytes())
    return digest.hexdigest()


def built(per_matter: Mapping[str, int] = TEXTS_PER_MATTER) -> str:
    """Write the training texts, learn from them, and return the content of the data file."""
    lexicon = Lexicon()
    raw = [
        (sorted(set(features(text.lower(), lexicon.read(text.lower())))), code)
        for language, count in per_matter.items()
        for text, code in texts(language, count, SEED)
    ]
    seen = Counter(name for names, _ in raw for name in names)
    codes = sorted({code for _, code in raw})
    index = {code: position for position, code in enumerate(codes)}
    examples = [([name for name in names if seen[name] >= _SEEN_MIN], index[code]) for names, code in raw]
    return written(codes, learned(examples, len(codes)), inputs_digest())


def learned(examples: Sequence[Example], classes: int) -> dict[str, list[int]]:
    """Average weights of each feature per class, rounded; features that say next to nothing are left out."""
    weights: dict[str, list[int]] = {name: [0] * classes for names, _ in examples for name in names}
    sums: dict[str, list[int]] = {name: [0] * classes for name in weights}
    order = list(examples)
    chance = random.Random(SEED)  # noqa: S311  # not a secret: the order must be the same every time
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
    averaged = {
        name: [_rounded(_SCALE * (now * step - total), step) for now, total in zip(row, sums[name], strict=True)]
        for name, row in weights.items()
    }
    return {name: row for name, row in averaged.items() if max(map(abs, row)) >= _KEPT_MIN}


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
