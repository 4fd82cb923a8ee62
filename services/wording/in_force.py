"""The texts that hold at a time, and the ones that come with the product wherever one of them cannot be used. Pure."""

from collections.abc import Callable, Iterable
from datetime import datetime

from schemas.codes import DeliveryChannel
from services.wording.templates import Rendered, Saying, Templates, WrongTemplate
from services.wording.texts import Text, TextKey, in_force, shape_of


class Wordings:
    """All versions that are known. What was never learned holds as it comes with the product."""

    def __init__(self, packaged: Templates, *, on_broken: Callable[[str], None] = lambda _name: None) -> None:
        """`on_broken` hears the name of a text that cannot be used, each time that it would have been."""
        self.packaged = packaged
        self._on_broken = on_broken
        self._versions: dict[str, Text] = {}
        self._compiled: dict[str, Templates | None] = {}

    def learn(self, versions: Iterable[Text]) -> None:
        """All versions there are. They are never changed, so what was compiled stays."""
        self._versions = {text.name: text for text in versions}

    def at(self, time: datetime) -> Templates:
        """What is in force; a text that cannot be used is the packaged one."""
        templates = self.packaged
        for text in in_force(self._versions.values(), time).values():
            if self._usable(text):
                templates = templates.with_text(text)
        return templates

    def render(
        self, said: Saying, channel: DeliveryChannel, *, name: str | None, now: datetime, begun: str = ""
    ) -> Rendered:
        """A message, in the words in force; one that was begun before (`Rendered.template`) in those that it had."""
        key = TextKey(said.moment, shape_of(channel), said.language)
        text = self._versions.get(begun) if begun else in_force(self._versions.values(), now).get(key)
        if text is not None:
            try:
                templates = self._usable(text)
                if templates is not None:
                    return templates.render(said, channel, name=name)
            except Exception:  # noqa: BLE001  # whatever it is: no text may stop a message
                self._on_broken(text.name)
            else:
                self._on_broken(text.name)
        return self.packaged.render(said, channel, name=name)

    def _usable(self, text: Text) -> Templates | None:
        if text.name not in self._compiled:
            try:
                self._compiled[text.name] = self.packaged.with_text(text)
            except WrongTemplate:
                self._compiled[text.name] = None
        return self._compiled[text.name]
