"""The classifier's data files: what they may hold, and that the trained one is built from the others."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.codes import SUBCODES, Category
from services.cli.train_classifier import train_classifier
from services.router.classification import vocabulary
from services.router.classifier import learning, training
from services.router.classifier.lexicon import Lexicon, stem
from services.router.classifier.measures import MEASURE, days_of
from services.router.classifier.model import DATA, trained

CODES = {f"{category}.{sub}" for category, subs in SUBCODES.items() for sub in subs} | {c.value for c in Category}


def test_the_trained_file_is_built_from_the_word_lists_and_phrases_beside_it() -> None:
    """Whoever edits the words or phrases builds the trained file again."""
    first_line = (DATA / "model.tsv").read_text(encoding="utf-8").split("\n", 1)[0]
    assert first_line == f"#\t{learning.inputs_digest()}", "run `amends train-classifier`"


def test_the_same_phrases_build_the_same_bytes() -> None:
    """Training twice gives the same file."""
    assert learning.built({"zh": 6, "en": 4}) == learning.built({"zh": 6, "en": 4})


def test_the_command_writes_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--check is content with what was written and refuses anything else."""
    monkeypatch.setattr("services.cli.train_classifier.built", lambda: "#\tdigest\nloss\n")
    target = tmp_path / "model.tsv"
    runner = CliRunner()
    assert runner.invoke(train_classifier, ["--check", "--output", str(target)]).exit_code == 1
    assert runner.invoke(train_classifier, ["--output", str(target)]).exit_code == 0
    assert runner.invoke(train_classifier, ["--check", "--output", str(target)]).exit_code == 0
    target.write_text("other", encoding="utf-8")
    assert runner.invoke(train_classifier, ["--check", "--output", str(target)]).exit_code == 1


def test_every_weight_speaks_of_a_known_matter() -> None:
    """Word list, model and training phrases use the codes of the field and no others."""
    assert {code for hits in vocabulary().weights.values() for code, _ in hits} <= CODES
    assert set(trained().codes) <= CODES
    assert {code for language in ("zh", "en") for code in training.codes(language)} <= CODES


def test_every_matter_can_be_learned() -> None:
    """Each sub-code of the field has training phrases in Chinese."""
    assert set(training.codes("zh")) >= CODES - {c.value for c in Category}


def test_training_texts_leave_no_slot_open() -> None:
    """Every slot is filled."""
    assert not any("{" in text for language in ("zh", "en") for text, _ in training.texts(language, 3, 1))


def test_a_misspelt_concept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that names an unknown concept stops the start and is named."""
    real = Lexicon._read_patterns
    monkeypatch.setattr(
        Lexicon, "_read_patterns", lambda self, rows: real(self, [*rows, ("broken_line", "no_such_concept > slow")])
    )
    with pytest.raises(ValueError, match="no_such_concept"):
        Lexicon()


@pytest.mark.parametrize("word", ["deliver", "delivers", "delivered", "delivering"])
def test_inflections_meet(word: str) -> None:
    """Inflected forms of an English word have one stem."""
    assert stem(word) == stem("deliver")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("十天", 10), ("10天", 10),
        ("十几天", 10), ("二十多天", 20), ("半个月", 15), ("一个多月", 30),
        ("一个半月", 45), ("两周", 14), ("三个星期", 21), ("48小时", 2),
        ("ten days", 10), ("a week", 7), ("3 weeks", 21),
        ("11月", 0), ("20日", 0), ("2025年", 0), ("300元", 0), ("半年", 182.5),
    ],
)  # fmt: skip
def test_lengths_of_time(text: str, days: float) -> None:
    """Durations are read in digits, Chinese numerals and English words; dates and money are no durations."""
    match = MEASURE.fullmatch(text)
    assert match is not None
    assert days_of(match) == days
