"""The notifier learns which texts there are."""

import asyncio
from typing import cast

from schemas.codes import DeliveryChannel, Language, Moment
from services.notifier.app import Learning
from services.notifier.text_store import TextStore
from services.wording.in_force import Wordings
from services.wording.signature import read_signature
from services.wording.templates import Saying, Templates
from services.wording.texts import Shape, Text
from tests.unit.notifier.tickets import NOON

SURVEY = Saying(Moment.SURVEY, Language.EN, "Asia/Shanghai", {"number": "2611-0042175", "attempt": 1})


class Texts:
    """What is stored, and who looked."""

    def __init__(self) -> None:
        self.found: list[Text] = []
        self.is_away = False
        self.looked = asyncio.Condition()

    async def all(self) -> list[Text]:
        async with self.looked:
            self.looked.notify_all()
        if self.is_away:
            raise ConnectionError
        return self.found

    async def look(self) -> None:
        """Until somebody has looked twice: what the first saw is in force then."""
        for _ in range(2):
            async with self.looked:
                await asyncio.wait_for(self.looked.wait(), 10)


async def test_texts_are_learned_again_and_again() -> None:
    """What is saved holds after the next look; while the database is away, what is known holds."""
    wordings, texts = Wordings(Templates.load(read_signature(None))), Texts()
    learning = Learning(wordings, cast("TextStore", texts), every_s=0.01)

    def said() -> str:
        return wordings.render(SURVEY, DeliveryChannel.SMS, name=None, now=NOON).template

    await learning.start()
    try:
        assert said() == "survey.sms.en"
        named = {"moment": Moment.SURVEY, "shape": Shape.SMS, "language": Language.EN}
        times = {"effective_at": NOON, "written_at": NOON, "written_by": "m1"}
        texts.found = [Text.model_validate({**named, **times, "version": 1, "body": "How was it?"})]
        await texts.look()
        assert said() == "survey.sms.en@1"
        texts.found, texts.is_away = [], True
        await texts.look()
        assert said() == "survey.sms.en@1"
    finally:
        await learning.stop()
