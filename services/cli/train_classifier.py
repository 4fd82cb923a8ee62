"""`amends train-classifier`: build the classifier's trained data file from the project's own text."""

from pathlib import Path

import click

import services.router.classifier
from services.router.classifier.learning import built

_HOME = Path(services.router.classifier.__file__).parent / "data" / "model.tsv"


@click.command(short_help="Build the classifier's trained data file.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_HOME,
    help="Where to write it; left out: the file that the classifier reads.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the file is not what would be written.")
def train_classifier(output: Path, *, check: bool) -> None:
    """Write training texts from the phrases in services/router/classifier/data and learn the model's weights from them.

    The same phrases and word lists give the same bytes on every machine. It takes half a minute. Run it after every
    change of the word lists or phrases.
    """
    content = built()
    features = content.count("\n") - 2
    if check:
        if not output.exists() or output.read_text(encoding="utf-8") != content:
            raise click.ClickException(f"{output} is not what its sources build; run `amends train-classifier`")
        click.echo(f"{output}: {features} features, up to date")
        return
    output.write_text(content, encoding="utf-8", newline="\n")
    click.echo(f"{output}: {features} features, {len(content.encode()):,} bytes")
