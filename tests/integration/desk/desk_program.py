"""The desk with a supervisor at it, whoever asks."""

from schemas.codes import StaffRole
from services.desk.app import main
from services.desk.person import Person


async def supervisor() -> Person:
    """The one person of these tests."""
    return Person(id="p1", name="S", role=StaffRole.SUPERVISOR)


if __name__ == "__main__":
    main(allows=lambda _action: supervisor)
