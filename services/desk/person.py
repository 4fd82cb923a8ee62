"""Who is signed in at the desk. Pure."""

from dataclasses import dataclass

from schemas.codes import Language, StaffRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the network's staff."""

    id: str
    """As tickets name the person."""
    name: str
    role: StaffRole
    departments: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    """Outlets, hubs or teams."""
    language: Language = Language.ZH
    time_zone: str = "Asia/Shanghai"
    """IANA."""
