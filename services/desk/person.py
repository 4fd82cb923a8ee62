"""The member of staff who is signed in. Pure."""

from dataclasses import dataclass

from schemas.codes import Language, StaffRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who acts. `id` is the name of the account, and of the person in the directory where there is one."""

    id: str
    name: str
    """As colleagues see it."""
    role: StaffRole
    departments: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """Outlets and hubs, in capitals. Who has one is staff of that unit and not of the department as a whole."""
    language: Language = Language.ZH
    time_zone: str = "Asia/Shanghai"
    """IANA zone in which times are shown."""
