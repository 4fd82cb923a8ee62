"""Personal data as it travels and rests: sealed, masked, or as a keyed digest that can be compared and no more."""

from schemas.message import Code, Part


class Sealed(Part):
    """AES-256-GCM ciphertext. The associated data is the complaint id, so that it opens for that complaint alone.

    In JSON the bytes are URL-safe base64.
    """

    key_id: Code
    nonce: bytes
    """12 bytes, never used twice with one key."""
    ciphertext: bytes
    """Ciphertext followed by the 16-byte tag."""


class MaskedContact(Part):
    """What may be shown of a contact, e.g. `138****1234` and `l***@example.com`."""

    phone: str | None = None
    email: str | None = None
    wechat: bool = False
    """Whether there is a WeChat open id."""


class ContactIndex(Part):
    """HMAC-SHA256 digests (hex) of the normalised values: equal values give equal digests, nothing else can be told."""

    phone: str | None = None
    email: str | None = None
    wechat: str | None = None
    account: str | None = None

    def values(self) -> tuple[str, ...]:
        """The digests there are, in a fixed order."""
        return tuple(v for v in (self.phone, self.email, self.wechat, self.account) if v)
