"""Keys for personal data: sealing (AES-256-GCM), blind indexes and keyed ids (HMAC-SHA256).

The file provider here is for one machine. A production provider of the same shape asks a key management service for
the data keys; rotation adds a key and makes it current, old ones go on opening. Who meets a key that was added since
its start asks for the keys again, so that services need not be restarted in an order.
"""

import base64
import contextlib
import hmac
import json
import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.sealed import Sealed
from services.runtime.settings import EXIT_WRONG_SETTINGS

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
_NOT_WORD: Final = re.compile(r"[\W_]+")
_WIDE: Final = {0xFF01 + n: 0x21 + n for n in range(94)}
"""What NFKC makes of wide ASCII. Chinese texts have it as punctuation and seldom need anything else; to find that
nothing else is to be done takes a tenth of the time."""


class CannotOpen(Exception):  # noqa: N818  # said of the sealed data
    """Sealed data whose key is unknown, or that was altered or belongs to another complaint."""


class BrokenKeyring(ValueError):  # noqa: N818  # said of the file
    """The file of keys cannot be used; the message says why."""


class KeyProvider(Protocol):
    """Where keys come from."""

    def keys(self) -> "Keys":
        """All keys: asked at the start, and when something comes that was sealed with a key added since."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Key material. 32 bytes each."""

    current: str
    """Id of the key that seals from now on."""
    sealing: dict[str, bytes]
    index: bytes
    """For blind indexes and ids. Never rotated: a new one would make every known value unknown."""


@dataclass(frozen=True, slots=True)
class FileKeyProvider:
    """Keys in a JSON file that only its owner may read."""

    path: Path

    def keys(self) -> Keys:
        """Read the file.

        Raises:
            FileNotFoundError: with the command that makes one.
            BrokenKeyring: it holds something else than a keyring.
        """
        if not self.path.exists():
            raise FileNotFoundError(f"no keyring at {self.path}: make one with `amends keyring create {self.path}`")
        try:
            stored = json.loads(self.path.read_text())
            keys = Keys(
                current=stored["current"],
                sealing={key_id: base64.b64decode(key) for key_id, key in stored["sealing"].items()},
                index=base64.b64decode(stored["index"]),
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenKeyring(
                f"{self.path} is no keyring ({type(error).__name__}): restore your copy of it"
            ) from None
        if not isinstance(keys.current, str) or {len(key) for key in (*keys.sealing.values(), keys.index)} != {
            KEY_BYTES
        }:
            raise BrokenKeyring(f"{self.path} is no keyring (a key has not {KEY_BYTES} bytes): restore your copy of it")
        if keys.current not in keys.sealing:
            raise BrokenKeyring(f"{self.path}: the current key {keys.current!r} is not among the sealing keys")
        return keys

    def rotate(self) -> str:
        """Add a key and make it current, whole and durable or not at all; gives its id.

        Raises:
            FileNotFoundError, BrokenKeyring: as `keys`.
        """
        keys = self.keys()
        number = 1 + max((int(name[1:]) for name in keys.sealing if re.fullmatch(r"k\d+", name)), default=0)
        current = f"k{number}"
        sealing = keys.sealing | {current: os.urandom(32)}
        with self._fresh(Keys(current=current, sealing=sealing, index=keys.index)) as file:
            file.replace(self.path)
        return current

    def create(self) -> None:
        """Make a file with fresh keys, whole and durable or not at all; a file that is there is left as it is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            return
        fresh = Keys(current="k1", sealing={"k1": os.urandom(32)}, index=os.urandom(32))
        with self._fresh(fresh) as file, contextlib.suppress(FileExistsError):
            os.link(file, self.path)

    @contextlib.contextmanager
    def _fresh(self, keys: Keys) -> Iterator[Path]:
        """A file beside ours with these keys, safely on the disk; removed afterwards if it is still there."""
        content = {
            "current": keys.current,
            "sealing": {key_id: base64.b64encode(key).decode() for key_id, key in keys.sealing.items()},
            "index": base64.b64encode(keys.index).decode(),
        }
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


class Keyring:
    """Seals, opens and indexes with the keys of a provider."""

    def __init__(self, provider: KeyProvider) -> None:
        self._provider = provider
        keys = provider.keys()
        self._current = keys.current
        self._keyed = hmac.new(keys.index, digestmod="sha256")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.sealing.items()}

    @classmethod
    def load(cls, path: Path) -> Self:
        """The keyring in a file."""
        return cls(FileKeyProvider(path))

    @classmethod
    def of_service(cls, path: Path) -> Self:
        """The keyring in a file, or the end of the process with a sentence that says what to do."""
        try:
            return cls.load(path)
        except (OSError, BrokenKeyring) as error:
            sys.stderr.write(f"AMENDS_KEYRING={path}: {error}\n")
            sys.exit(EXIT_WRONG_SETTINGS)

    @classmethod
    def create(cls, path: Path) -> Self:
        """The keyring in a file, made now if there is none."""
        provider = FileKeyProvider(path)
        provider.create()
        return cls(provider)

    def seal(self, plaintext: bytes, *, about: UUID) -> Sealed:
        """Seal for one complaint: it opens with the same `about` alone."""
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._ciphers[self._current].encrypt(nonce, plaintext, about.bytes)
        return Sealed(key_id=self._current, nonce=nonce, ciphertext=ciphertext)

    def open(self, sealed: Sealed, *, about: UUID) -> bytes:
        """What was sealed.

        Raises:
            CannotOpen: the key is unknown, or the data was altered or sealed about something else.
        """
        cipher = self._ciphers.get(sealed.key_id) or self._added_since(sealed.key_id)
        if cipher is None:
            raise CannotOpen(f"the key {sealed.key_id!r} is not in the keyring; known: {', '.join(self._ciphers)}")
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, about.bytes)
        except InvalidTag:
            raise CannotOpen(f"sealed data about {about} was altered, or belongs to another complaint") from None

    def _added_since(self, key_id: str) -> AESGCM | None:
        with contextlib.suppress(OSError, BrokenKeyring):  # Then it is as unknown as it was.
            self._ciphers |= {name: AESGCM(key) for name, key in self._provider.keys().sealing.items()}
        return self._ciphers.get(key_id)

    def rewrap(self, sealed: Sealed, *, about: UUID) -> Sealed:
        """The same under the current key: what rotation does to each stored document."""
        return sealed if sealed.key_id == self._current else self.seal(self.open(sealed, about=about), about=about)

    def blind(self, kind: str, value: str) -> str:
        """Digest (hex) for looking a value up without storing it; `kind` keeps a phone apart from an account."""
        return self._mac(f"{kind}\0{value}").hex()

    def fingerprint(self, text: str) -> str:
        """Digest (hex) of a text, blind to width, case, punctuation and white space."""
        normal = _NOT_WORD.sub("", unicodedata.normalize("NFKC", text.translate(_WIDE)).casefold())
        return self.blind("text", normal)

    def complaint_id(self, channel: str, key: str) -> UUID:
        """The complaint that a channel names by an idempotency key. Nobody without the key can guess it."""
        return UUID(bytes=self._mac(f"complaint\0{channel}\0{key}")[:16], version=5)

    def secret(self, purpose: str) -> bytes:
        """A key of its own for one purpose, e.g. signing links. 32 bytes, the same in every process."""
        return self._mac(f"secret\0{purpose}")

    def _mac(self, text: str) -> bytes:
        mac = self._keyed.copy()  # Setting up a digest with its key costs more than digesting.
        mac.update(text.encode("utf-8", "surrogatepass"))
        return mac.digest()
