"""A complaint from the public form to a satisfied survey: customer, agent, outlet, supervisor and manager."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from schemas.codes import Language
from tests.journeys import customers
from tests.journeys.browsing import PHONE, Browsing
from tests.journeys.network import AGENT, MANAGER, OUTLET, SUPERVISOR, Network

TEXT = (
    "The glass vase in parcel SF{waybill} arrived broken, the box was crushed. "
    "I want my money back, or my lawyer will write to you."
)


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_from_the_form_to_the_survey(browsing: Browsing, network: Network, tmp_path: Path, *, script: bool) -> None:
    """Everybody does their part on pages alone, the customer on a phone, and with or without JavaScript."""
    waybill, phone = ("1000000000101", "+8613800000101") if script else ("1000000000102", "+8613800000102")
    customer = browsing.page(PHONE, java_script_enabled=script)
    number = customers.complain(customer, network, TEXT.format(waybill=waybill), phone=phone, folder=tmp_path)

    _answered(browsing, number, phone)

    customer.goto(network.link(phone, "propose to compensate you"))
    main = customer.locator("main")
    expect(main).to_contain_text("Amount: CN¥3,000.00")
    expect(main).to_contain_text("We are sorry for the vase.")
    expect(main).not_to_contain_text("It stood on the edge.")
    customers.do(customer, "appeal", "Appeal", words="It was worth more.")
    expect(main).to_contain_text("We have your appeal and decide on it again.")

    supervisor, agent = browsing.staff(SUPERVISOR), browsing.staff(AGENT)
    supervisor.open(number)
    supervisor.sees("The complainant appeals.")
    supervisor.sees("It was worth more.")
    supervisor.act("decide_appeal", changed="yes", remedy="replace", amount="1900", for_customer="You get a new one.")

    customer.goto(network.link(phone, "The final decision"))
    expect(main).to_contain_text("We changed our earlier answer.")
    expect(main).to_contain_text("You get a new one.")
    customers.do(customer, "accept", "I agree")
    expect(main).to_contain_text("Thank you. We have noted that you agree.")

    agent.open(number)
    agent.sees("The complainant accepts.")
    agent.act("request_survey")
    customer.goto(network.link(phone, "Are you satisfied"))
    customers.do(customer, "rate", "Send my rating", score="5", words="Well done in the end.")
    expect(main).to_contain_text("Thank you for telling us.")

    agent.open(number)
    agent.sees("Survey: 5 of 5, satisfied.")
    agent.sees("Resolved")


def _answered(browsing: Browsing, number: str, phone: str) -> None:
    """Reviewed by an agent, looked into by the outlet, answered, and approved by all who must."""
    agent = browsing.staff(AGENT)
    agent.open(number)
    agent.sees("To be reviewed")
    assert phone[3:] not in agent.page.content()
    agent.act("start_review")
    agent.act("complete_review", severity="3")
    agent.act("assign", department="outlets", unit="NET-1001", person="net-1001-desk")
    agent.sees("Assigned to 网点管理部, 上海浦东网点, net-1001-desk")

    outlet = browsing.staff(OUTLET, language=Language.ZH)
    outlet.line("/queue", number).get_by_role("link").click()
    outlet.sees("投诉人信息不对本单位显示")
    outlet.act("first_action")
    outlet.act("record_findings", cause="handling", whys="The box fell.\nIt stood on the edge.", text="Two saw it.")
    outlet.sees("It stood on the edge.")
    outlet.act("estimate_loss", loss="2800")

    agent.open(number)
    agent.sees("Findings: Rough handling")
    agent.act(
        "answer", decider="supervisor", remedy="compensation", amount="3000", for_customer="We are sorry for the vase."
    )
    agent.sees("waits for approval")

    for account in (SUPERVISOR, MANAGER):
        approver = browsing.staff(account)
        line = approver.line("/approvals", number)
        expect(line).to_contain_text("CN¥3,000.00")
        line.get_by_role("link", name="Approve", exact=True).click()
        approver.send()
        approver.sees("Done: Approve")
    approver.sees("Answered: Compensation, CN¥3,000.00.")
