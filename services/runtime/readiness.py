"""Whether a process can do its work now, by named conditions, each with its reason when it does not hold."""


class Readiness:
    """Ready when every condition that was ever set holds, and at least one was set."""

    def __init__(self) -> None:
        self._reasons: dict[str, str | None] = {}

    def set(self, name: str, ok: bool, why: str = "") -> None:  # noqa: FBT001 - a condition is its truth
        """A condition holds, or does not for the reason `why`, a sentence without personal data."""
        self._reasons[name] = None if ok else why or "not ready"

    @property
    def ready(self) -> bool:
        """Whether everything holds."""
        return bool(self._reasons) and not self.reasons

    @property
    def reasons(self) -> dict[str, str]:
        """Why not, by condition."""
        return {name: why for name, why in self._reasons.items() if why is not None}
