"""Who may do what, written down a second time: a change of the table is a change of this one, too."""

from dataclasses import replace
from typing import get_args

import pytest

from schemas.codes import Category, RiskFlag, Source, StaffRole, TicketState
from schemas.commands import Action
from services.desk import rights
from services.desk.person import Person
from services.desk.rights import RIGHTS, TicketPlace, may, may_somewhere, rights_of

EXPECTED = """
                            agent supervisor centre_manager outlet_staff management auditor administrator
follow_up                   -     -          -              -            -          -       -
absorb_repeat               -     -          -              -            -          -       -
start_review                all   all        all            -            -          -       -
complete_review             all   all        all            -            -          -       -
link_as_repeat              all   all        all            -            -          -       -
assign                      all   all        all            -            -          -       -
hand_over                   all   all        all            -            -          -       -
return_to_centre            -     -          -              unit         -          -       -
share_liability             -     all        all            -            -          -       -
first_action                mine  dept       dept           unit         -          -       -
respond                     mine  dept       dept           unit         -          -       -
record_findings             all   all        all            unit         -          -       -
add_evidence                all   all        all            unit         -          -       -
add_note                    all   all        all            unit         -          -       -
estimate_loss               all   all        all            unit         -          -       -
wait_for_customer           all   all        all            dept         -          -       -
wait_for_third_party        all   all        all            unit         -          -       -
resume                      all   all        all            unit         -          -       -
change_severity             -     all        all            -            -          -       -
choose_language             all   all        all            -            -          -       -
answer                      all   all        all            dept         -          -       -
approve                     all   all        all            -            all        -       -
refuse_approval             all   all        all            -            all        -       -
delegate_approval           all   all        all            -            all        -       -
resolve                     all   all        all            -            -          -       -
accept                      all   all        all            -            -          -       -
appeal                      all   all        all            -            -          -       -
decide_appeal               -     all        all            -            -          -       -
request_survey              all   all        all            -            -          -       -
record_survey               all   all        all            -            -          -       -
stop_surveys                all   all        all            -            -          -       -
reopen                      all   all        all            -            -          -       -
withdraw                    all   all        all            -            -          -       -
plan_corrective_action      -     all        all            -            -          -       -
complete_corrective_action  -     all        all            unit         -          -       -
verify_corrective_action    -     all        all            -            -          -       -
apologise                   all   all        all            -            -          -       -
agree_claim                 all   all        all            dept         -          -       -
record_payment              -     all        all            dept         -          -       -
answer_regulator            -     all        all            -            -          -       -
record_platform_action      all   all        all            -            -          -       -
archive                     -     all        all            -            -          -       -
close                       all   all        all            -            -          -       -
list_tickets                all   all        all            unit         all        all     -
read_ticket                 all   all        all            unit         all        all     -
export                      -     all        all            -            all        all     -
save_view                   all   all        all            unit         all        all     -
share_view                  -     all        all            -            -          -       -
bulk                        -     all        all            -            -          -       -
submit_complaint            all   all        all            unit         -          -       -
see_statistics              all   all        all            unit         all        all     -
unmask_contact              all   all        all            needed       -          all     -
read_wording                all   all        all            needed       -          all     -
revoke_link                 all   all        all            -            -          -       -
read_notes                  all   all        all            unit         -          all     -
find_customer               all   all        all            -            -          all     -
export_contacts             -     -          all            -            -          all     -
show_customer               -     -          all            -            -          all     -
erase_customer              -     -          all            -            -          -       -
read_directory              all   all        all            -            all        all     all
edit_directory              -     -          all            -            -          -       all
read_policies               all   all        all            -            all        all     all
edit_policies               -     -          all            -            -          -       all
read_rejected               -     all        all            -            -          all     all
replay_rejected             -     all        all            -            -          -       -
read_dead_letters           -     -          -              -            -          all     all
replay_dead_letters         -     -          -              -            -          -       all
read_deliveries             all   all        all            -            -          all     all
read_audit                  -     -          all            -            -          all     -
read_accounts               -     -          -              -            -          all     all
manage_accounts             -     -          -              -            -          -       all
"""
ROLES, *LINES = [line.split() for line in EXPECTED.strip().splitlines()]
CASES = [(name, StaffRole(role), scope) for name, *scopes in LINES for role, scope in zip(ROLES, scopes, strict=True)]

ELSEWHERE = TicketPlace(
    state=TicketState.INVESTIGATING, department="transport", units=frozenset({"HUB-09"}), person="somebody"
)
PLACES = {
    "elsewhere": ELSEWHERE,
    "nowhere": TicketPlace(state=TicketState.OPENED),
    "my department": replace(ELSEWHERE, department="claims"),
    "my unit": replace(ELSEWHERE, units=frozenset({"NET-1001"})),
    "my unit shares it": replace(ELSEWHERE, units=frozenset({"HUB-09", "NET-1001"})),
    "mine": replace(ELSEWHERE, person="me"),
    "my unit, over": replace(ELSEWHERE, units=frozenset({"NET-1001"}), state=TicketState.CLOSED),
    "my unit, about behaviour": replace(ELSEWHERE, units=frozenset({"NET-1001"}), category=Category.ATTITUDE),
    "my unit, internal": replace(ELSEWHERE, units=frozenset({"NET-1001"}), source=Source.INTERNAL),
    "my unit, press": replace(ELSEWHERE, units=frozenset({"NET-1001"}), flags=frozenset({RiskFlag.MEDIA})),
}
OF_UNIT = {name for name in PLACES if name.startswith("my unit")}
WHERE = {
    # scope: (for staff of the department claims, for staff of the unit NET-1001)
    "all": (set(PLACES), set(PLACES)),
    "dept": ({"my department"}, set()),
    "unit": ({"my department"}, OF_UNIT),
    "mine": ({"mine"}, {"mine"}),
    "needed": ({"my department"}, {"my unit", "my unit shares it"}),
    "-": (set(), set()),
}


def person(role: StaffRole, *, unit: str = "", department: str = "claims") -> Person:
    """Somebody of a department, or of a unit in it."""
    return Person(
        id="me", name="me", role=role, departments=(department,), units=(unit,) if unit else (), time_zone="UTC"
    )


@pytest.mark.parametrize(("action", "role", "scope"), CASES)
def test_every_role_reaches_with_every_action_what_it_may_and_nothing_else(
    action: str, role: StaffRole, scope: str
) -> None:
    """On tickets of every kind of place, for staff of a department and of a unit."""
    of_department, of_unit = person(role), person(role, unit="NET-1001")
    for who, places in zip((of_department, of_unit), WHERE[scope], strict=True):
        assert {name for name, place in PLACES.items() if may(who, action, place)} == places
        assert may(who, action) == (scope == "all")
        assert may_somewhere(who, action) == (scope != "-")


def test_the_table_names_every_action_once() -> None:
    """And nothing that is not written down here."""
    assert [name for name, *_ in LINES] == list(RIGHTS)
    assert len(CASES) == len(RIGHTS) * len(StaffRole)


def test_every_command_has_a_row() -> None:
    """A command that nobody was given may be sent by nobody, but that must be said."""
    commands = {kind.model_fields["name"].default for kind in get_args(get_args(Action)[0])}
    assert commands <= RIGHTS.keys()


def test_an_action_that_is_not_there_is_a_mistake_of_ours() -> None:
    """It is neither allowed nor refused."""
    with pytest.raises(KeyError):
        may(person(StaffRole.AGENT), "fly")


def test_a_ticket_without_department_is_in_nobodys() -> None:
    """Also when somebody belongs to none."""
    nobody = replace(person(StaffRole.OUTLET_STAFF), departments=())
    assert not may(nobody, "read_ticket", PLACES["nowhere"])


def test_staff_of_a_unit_do_not_see_other_units_of_their_department() -> None:
    """Though the directory puts them into the same department."""
    outlet = person(StaffRole.OUTLET_STAFF, unit="NET-1001", department="outlets")
    other = replace(ELSEWHERE, department="outlets", units=frozenset({"NET-1002"}))
    assert not may(outlet, "read_ticket", other)
    assert may(replace(outlet, units=()), "read_ticket", other)


def test_what_a_role_may_is_told_with_its_scope() -> None:
    """So that a page draws only buttons that can work."""
    assert rights_of(StaffRole.ADMINISTRATOR)["manage_accounts"] == "all"
    assert "read_ticket" not in rights_of(StaffRole.ADMINISTRATOR)
    assert rights_of(StaffRole.OUTLET_STAFF)["answer"] == "own department"


def test_an_auditor_changes_nothing() -> None:
    """Only actions of reading, and views of one's own."""
    assert set(rights_of(StaffRole.AUDITOR)) - {"save_view"} == {
        name
        for name in rights_of(StaffRole.AUDITOR)
        if name.startswith(("read_", "list_", "see_", "find_", "show_", "unmask_", "export"))
    }


def test_the_page_has_a_line_for_each_action() -> None:
    """With its meaning and a cell for each role."""
    page = rights.page()
    for name, right in RIGHTS.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert right.meaning in line
        assert line.count(" | ") == 1 + len(StaffRole)
