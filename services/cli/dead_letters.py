"""`amends dead-letters`: list, show, replay and discard what could not be processed; see `runtime/letters.py`.

Exit codes: 0 done; 1 nothing fits what was asked for; 2 wrong usage; 3 Kafka does not answer.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

import click

from services.cli.output import away
from services.runtime.letters import AWAY, KafkaLetters, Letter, dead_letter_topics
from services.runtime.settings import RuntimeSettings, load

EXIT_NOTHING: Final = 1
EXIT_KAFKA_AWAY: Final = 3

R = TypeVar("R")


@click.group("dead-letters", short_help="Messages that could not be processed.")
def dead_letters() -> None:
    """Look at messages that could not be processed, and send them again."""


@dead_letters.command("list")
@click.option("--topic", help="Only of this topic, with or without `-dlq`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_letters(topic: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List them, oldest first, without their payloads."""
    letters = _run(lambda kept: kept.read(dead_letter_topics(topic)))
    for letter in letters:
        row = letter.summary()
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            state = "replayed" if row["replayed"] else row["why"]
            told = [row["id"], row["at"][:19], state, row["consumer"], row["type"], row["reason"], row["exception"]]
            click.echo("  ".join(told))
    if not letters and not as_json:
        click.echo("There are no dead letters.")


@dead_letters.command("show")
@click.argument("wanted", metavar="ID")
def show_letter(wanted: str) -> None:
    """Show the one that `list` calls ID with its headers and bytes, as JSON. They may hold sealed personal data."""
    topic = wanted.partition("/")[0]
    letters = _run(lambda kept: kept.read(dead_letter_topics(topic)))
    letter = next((letter for letter in letters if letter.id == wanted), None)
    if letter is None:
        _stop(f"There is no dead letter {wanted}. `amends dead-letters list` tells which there are.")
    original = letter.original
    shown = letter.summary() | {
        "key": _text(original.key),
        "headers": {name: _text(value) for name, value in original.headers},
        "value": _text(original.value),
    }
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


@dead_letters.command("replay")
@click.option("--topic", help="Only of this topic, with or without `-dlq`.")
@click.option("--id", "ids", multiple=True, help="One letter, `topic/partition/offset` as `list` shows it; repeatable.")
@click.option("--all", "everything", is_flag=True, help="All that fit and were not replayed.")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
def replay(topic: str | None, ids: tuple[str, ...], everything: bool, again: bool) -> None:  # noqa: FBT001 - click
    """Send dead letters back to the topics they came from, as they were."""
    if bool(ids) == everything:
        raise click.UsageError("Say which: either --id (repeatable) or --all, with --topic if you like.")

    async def work(kept: KafkaLetters) -> tuple[list[Letter], int, list[str]]:
        letters = await kept.read(dead_letter_topics(topic))
        chosen = [letter for letter in letters if everything or letter.id in ids]
        missing = [wanted for wanted in ids if wanted not in {letter.id for letter in chosen}]
        fresh = [letter for letter in chosen if again or not letter.was_replayed]
        foreign = [letter.id for letter in fresh if not letter.home]
        sent = [letter for letter in fresh if letter.id not in foreign]
        await kept.replay(sent)
        problems = [f"{wanted}: there is no such dead letter" for wanted in missing]
        problems += [
            f"{found}: no header says which topic it came from, or it was too large to be kept whole"
            for found in foreign
        ]
        return sent, len(chosen) - len(fresh), problems

    sent, skipped, problems = _run(work)
    for letter in sent:
        click.echo(f"{letter.id} -> {letter.home}")
    click.echo(f"{len(sent)} replayed, {skipped} had been replayed before{' (use --again)' if skipped else ''}.")
    for problem in problems:
        click.echo(problem, err=True)
    if problems or (not sent and not skipped):
        sys.exit(EXIT_NOTHING)


@dead_letters.command("discard")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def discard(ids: tuple[str, ...]) -> None:
    """Give letters up that can never be mended. They stay in their topic, and count as replayed from now on."""

    async def work(kept: KafkaLetters) -> tuple[list[Letter], list[str]]:
        letters = await kept.read(sorted({wanted.partition("/")[0] for wanted in ids}))
        chosen = [letter for letter in letters if letter.id in ids and not letter.was_replayed]
        await kept.discard(chosen)
        return chosen, [wanted for wanted in ids if wanted not in {letter.id for letter in letters}]

    chosen, missing = _run(work)
    for letter in chosen:
        click.echo(f"{letter.id} discarded")
    for wanted in missing:
        click.echo(f"{wanted}: there is no such dead letter", err=True)
    if missing:
        sys.exit(EXIT_NOTHING)


def _run(work: Callable[[KafkaLetters], Awaitable[R]]) -> R:
    settings = load(RuntimeSettings)

    async def limited() -> R:
        return await work(KafkaLetters(settings))

    try:
        return asyncio.run(limited())
    except AWAY as error:
        click.echo(away(f"Kafka at {settings.kafka}", "AMENDS_KAFKA", error), err=True)
        sys.exit(EXIT_KAFKA_AWAY)


def _stop(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_NOTHING)


def _text(value: bytes | None) -> str | dict[str, str] | None:
    """Text as text, other bytes as hexadecimal."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
