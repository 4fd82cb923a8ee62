"""Hashing of passwords with Argon2id, beside the event loop."""

import secrets
from typing import Final

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.desk.accounts import PASSWORD_CHARACTERS_MAX, normalised

AT_ONCE_MAX: Final = 2
"""Each takes 64 MiB and some 50 ms of a core; more wait, so that a flood of guesses does not starve the desk."""


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._at_once: CapacityLimiter | None = None
        # Checking a name that does not exist must take as long as one that does.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and parameters."""
        return await to_thread.run_sync(self._hasher.hash, normalised(password), limiter=self._limiter())

    async def check(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Whether it is the password of the stored hash; and a new hash when the stored one has older parameters.

        Args:
            password: as it was typed.
            stored: the hash; empty when there is none, which takes as long and never holds.
        """
        return await to_thread.run_sync(self._check, normalised(password), stored, limiter=self._limiter())

    def _check(self, password: str, stored: str) -> tuple[bool, str | None]:
        if len(password) > PASSWORD_CHARACTERS_MAX:
            password, stored = "", ""
        try:
            self._hasher.verify(stored or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False, None
        if not stored:
            return False, None
        return True, self._hasher.hash(password) if self._hasher.check_needs_rehash(stored) else None

    def _limiter(self) -> CapacityLimiter:
        if self._at_once is None:  # It belongs to the event loop that is there when it is made.
            self._at_once = CapacityLimiter(AT_ONCE_MAX)
        return self._at_once
