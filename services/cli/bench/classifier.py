"""How long it takes to understand one complaint."""

import importlib.resources
import time
from pathlib import Path
from typing import Any

import yaml

from services.router.classification import classify, vocabulary

STARTS_ITSELF = True
ROUNDS = 200


async def run(_folder: Path) -> dict[str, Any]:
    """Median over rounds through the demonstration's texts, in processor time: what else runs does not count."""
    found = importlib.resources.files("services.cli").joinpath("demo_texts.yaml").read_text()
    texts = [text["text"].format(waybill="SF1234567890123") for text in yaml.safe_load(found)]
    vocabulary()
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for text in texts:
            classify(text)
        rounds.append((time.process_time() - began) / len(texts) * 1e6)
    rounds.sort()
    return {"us_per_text": rounds[ROUNDS // 2], "us_per_text_p99": rounds[int(ROUNDS * 0.99)]}
