"""Settings of the notifier."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from services.runtime.settings import RuntimeSettings, Secret

ADDRESS = r"^$|^(\[[0-9A-Fa-f:]+\]|[^:\s]+):\d{1,5}$"


class NotifierSettings(RuntimeSettings):
    """What the notifier alone is told."""

    SERVICE: ClassVar[str] = "notifier"

    notification_policy: Path | None = Field(
        None, description="File of the notification policy; none takes the one that comes with Amends."
    )
    texts_poll_s: float = Field(
        10.0, gt=0, le=3600, description="Seconds between looks for texts that were changed at the desk."
    )
    portal_url: str = Field(
        "",
        pattern=r"^$|^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Where complainants' own pages are, e.g. `https://care.example`; empty: messages have no links.",
    )
    smpp: str = Field("", pattern=ADDRESS, description="SMS provider, `host:port` of its SMPP 3.4 server; empty: none.")
    smpp_system_id: str = Field("amends", max_length=15, description="Account at the SMS provider.")
    smpp_password: Secret = Field(Secret(""), description="Its password, up to 8 characters.")
    smpp_source: str = Field(
        "Amends", min_length=1, max_length=20, description="Sender shown on an SMS: a number or up to 11 letters."
    )
    smpp_tls: bool = Field(False, description="Whether SMPP goes over TLS.")
    smpp_window: int = Field(64, ge=1, le=1000, description="SMS submitted at a time without an answer.")
    sms_lookup_url: str = Field(
        "",
        description="Where the SMS provider tells what it took: asked with `?out_id=`, it answers a JSON list of "
        "`{id, receipt, parts}`, `parts` being the segments behind an id. Empty: it cannot be asked.",
    )
    smtp: str = Field("", pattern=ADDRESS, description="Mail server that takes our e-mail, `host:port`; empty: none.")
    smtp_user: str = Field("", description="Account at the mail server; empty: no login.")
    smtp_password: Secret = Field(Secret(""), description="Its password.")
    smtp_security: Literal["auto", "none", "starttls", "tls"] = Field(
        "auto", description="`auto` uses STARTTLS where the server offers it."
    )
    smtp_connections: int = Field(8, ge=1, le=100, description="Connections to the mail server at a time.")
    email_from: str = Field(
        "care@amends.example", pattern=r"^[^@\s<>]+@[^@\s<>]+$", description="Address that e-mail comes from."
    )
    email_lookup_url: str = Field("", description="As `AMENDS_SMS_LOOKUP_URL`, for e-mail.")
    dkim_key: Path | None = Field(
        None, description="PEM file of the key that e-mail is signed with; none: no signature."
    )
    dkim_selector: str = Field("amends", description="Selector of that key in the DNS of the sender's domain.")
    sandbox: str = Field(
        "", description="HTTP address of the local stack's sandbox, which is asked where no lookup URL is given."
    )
    notifier_batch_max: int = Field(4000, ge=1, le=5000, description="Most messages of a batch.")
    notifier_linger_s: float = Field(0.01, ge=0, le=1, description="Seconds that a batch waits for more messages.")

    def lookup_url(self, own: str) -> str:
        """Where a provider is asked: its own address, else the sandbox's."""
        return own or (f"{self.sandbox.rstrip('/')}/messages" if self.sandbox else "")
