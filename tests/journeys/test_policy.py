"""What the content security policy stops is heard by the tests."""

from tests.journeys.browsing import Browsing
from tests.journeys.network import Network


def test_a_script_in_a_page_is_stopped_and_heard(browsing: Browsing, network: Network) -> None:
    """Script and style that got into a page do nothing, and no journey would pass with them."""
    page = browsing.page()
    for address in (f"{network.desk}/sign-in", network.portal):
        page.goto(address)
        page.evaluate("""() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken over'";
          document.body.append(script);
          document.body.setAttribute("style", "color: red");
        }""")
        assert page.title() != "taken over"
        assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    heard = [one for one in browsing.wrong if "policy: " in one]
    assert {one.split()[2] for one in heard} == {"script-src-elem", "style-src-attr"}
    browsing.wrong.clear()
