"""Mail as Django sends it by SMTP, over one connection a process, counted."""

from collections.abc import Sequence
from typing import ClassVar

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend


class Backend:
    """A backend that Django makes anew for each mail; what it stands on is kept."""

    _kept: ClassVar[EmailBackend | None] = None
    sent: ClassVar[int] = 0

    def __init__(self, fail_silently: bool = False, **_: object) -> None:
        self._fail_silently = fail_silently

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        if Backend._kept is None:
            Backend._kept = EmailBackend()
            Backend._kept.open()
        count = Backend._kept.send_messages(messages) or 0
        Backend.sent += count
        return count
