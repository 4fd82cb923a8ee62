"""The private page, as whoever holds its link meets it."""

import re
from datetime import timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest

from schemas import commands as c
from schemas import events as e
from schemas import ids
from schemas.codes import ActorKind, Channel, Clock, Language, TicketState
from schemas.complaint import Money
from schemas.notes import Note
from schemas.sealed import MaskedContact
from services.portal.case import AppealWindow
from services.portal.handlers import Told
from services.portal.uploads import Unavailable
from tests.unit.portal.conftest import NOW, Running
from tests.unit.portal.tickets import AT, TICKET, classified, event, forms, hidden, life

S = TicketState
ALWAYS = {"choose_language", "stop_surveys"}
PNG = b"\x89PNG\r\n\x1a\n picture"


async def _act(client, running: Running, act: str, **typed):
    page = (await client.get(f"/t/{running.token()}")).text
    files = typed.pop("files", None)
    return await client.post(f"/t/{running.token()}/{act}", data={"form": hidden(page, "form"), **typed}, files=files)


async def test_it_tells_the_state_the_promise_the_answer_the_trail_and_the_messages_in_words(client, running: Running):
    """No code of ours stands in it, times are in the person's zone, and of a note only what is for the customer."""
    note = uuid4()
    running.notes.by_ref[note] = Note(text="SECRET", whys=("SECRET",), for_customer="We are <sorry>.\nIt comes today.")
    running.tickets.by_id[TICKET] = [
        *life(),
        classified(),
        event(e.TicketNoted, 3, S.INVESTIGATING, note_ref=uuid4()),
        event(e.TicketAnswered, 4, S.ANSWERED, remedy="refund", amount=Money(amount="12.50"), note_ref=note),
    ]
    running.tickets.clocks = {Clock.RESOLUTION: NOW + timedelta(days=1), Clock.UNIT_RESPONSE: NOW}
    running.tickets.told = [Told("received", "delivered", "sms", "138****8000", AT)]
    page = (await client.get(f"/t/{running.token()}")).text
    for shown in (
        "2611-004217", "Answered", "a parcel held up on the way", "SF1234567890123", "Monday 23 November, 10:00",
        "What we offer: refund what you paid.", "CN¥12.50", "We are &lt;sorry&gt;.", "Your complaint was registered.",
        "Confirmation", "SMS · 138****8000 · delivered",
    ):  # fmt: skip
        assert shown in page, shown
    for hidden_ in ("SECRET", "investigating", "delay.transit", "appeal_decided"):
        assert hidden_ not in page, hidden_


async def test_a_time_that_has_passed_is_admitted(client, running: Running):
    """It says that we are late and does not promise it again."""
    running.tickets.clocks = {Clock.FIRST_ANSWER: NOW - timedelta(hours=1)}
    page = (await client.get(f"/t/{running.token()}")).text
    assert "We promised you an answer by" in page
    assert "We are late, and we are sorry." in page
    assert "We answer you by" not in page


async def test_links_that_open_nothing_all_get_the_same_page(client, running: Running):
    """Unknown, expired, revoked, of a ticket that is gone, of somebody else's complaint: nothing tells them apart."""
    good = running.token(age=timedelta(days=2))
    tokens = {
        "unknown": "nothing",
        "changed": good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        "expired": running.token(age=timedelta(days=200)),
        "no ticket": running.token(ticket=uuid4()),
        "no complaint": running.token(complaint=uuid4()),
    }
    answers = {name: await client.get(f"/t/{token}") for name, token in tokens.items()}
    assert (await client.get(f"/t/{good}")).status_code == 200
    running.revocations.by_ticket[TICKET] = 1
    answers["revoked"] = await client.get(f"/t/{good}")
    answers["act"] = await client.post(f"/t/{good}/withdraw", data={})
    assert {answer.status_code for answer in answers.values()} == {404}
    assert len({answer.text for answer in answers.values()}) == 1
    assert (await client.get(f"/t/{running.token(generation=1)}")).status_code == 200


async def test_whose_ticket_was_linked_to_it_has_its_page(client, running: Running):
    """The link names that complaint; the page tells that another one was added."""
    other = uuid4()
    linked = {
        "complaint_id": other, "channel": Channel.WEB, "received_at": AT, "contact_ref": uuid4(),
        "masked": MaskedContact(phone="139****9000"), "matched_by": "by_hand", "repeats": 1, "from_ticket": uuid4(),
    }  # fmt: skip
    assert (await client.get(f"/t/{running.token(complaint=other)}")).status_code == 404
    running.tickets.by_id[TICKET] = life((e.TicketRepeatLinked, S.OPENED, linked))
    answer = await client.get(f"/t/{running.token(complaint=other)}")
    assert answer.status_code == 200
    assert "Another complaint about the same matter was added" in answer.text


async def test_a_form_that_would_do_nothing_is_not_shown(client, running: Running):
    """When the survey is over there is none to stop."""
    running.tickets.by_id[TICKET] = life((e.TicketSurveyExhausted, S.CLOSED, {"attempts": 3}))
    assert list(forms((await client.get(f"/t/{running.token()}")).text)) == []


async def test_words_are_kept_before_the_command_is_asked_for(client, running: Running):
    """Whoever acts on the command can read them; the command itself has none of them."""

    def kept(command: c.TicketCommand) -> None:
        assert running.notes.by_ref[command.note_ref].text == "It is still wet."

    running.broker.then = kept
    answer = await _act(client, running, "add", words=" It is still wet. ")
    assert answer.status_code == 303
    (command,) = running.broker.asked
    assert command.action == c.AddNote()
    assert command.note_ref == ids.note_ref(command.command_id, TICKET)
    assert (command.actor.kind, command.actor.via, command.actor.id) == (ActorKind.COMPLAINANT, "portal", None)
    assert (command.routing_key, command.expected_version) == ("w:SF1234567890123", None)
    assert b"wet" not in command.payload
    assert "for_customer" not in running.notes.by_ref[command.note_ref].model_dump(exclude_defaults=True)


async def test_what_was_asked_for_ends_the_waiting(client, running: Running):
    """Files and words are one command, the resuming the next, under ids that follow from the form."""
    running.tickets.by_id[TICKET] = life((e.TicketCustomerAwaited, S.WAITING_CUSTOMER, {"what": "photos"}))
    page = (await client.get(f"/t/{running.token()}")).text
    assert "photos of the parcel and the items" in page
    await _act(client, running, "add", words="Here", files=[("files", ("a.png", PNG))])
    first, second = running.broker.asked
    assert isinstance(first.action, c.AddEvidence)
    assert running.intake.evidence[first.action.evidence[0]] == PNG
    assert running.uploads.owners == {first.action.evidence[0]: TICKET}
    assert second.action == c.Resume()
    assert second.command_id == ids.command_id(first.command_id, "resume")


async def test_two_clicks_are_one_command_and_other_words_another(client, running: Running):
    """The same form with the same content has the same id, files included."""
    page = (await client.get(f"/t/{running.token()}")).text
    for words in ("one", "one", "two"):
        data = {"form": hidden(page, "form"), "words": words}
        await client.post(f"/t/{running.token()}/add", data=data, files=[("files", ("a.png", PNG))])
    one, again, other = running.broker.asked
    assert one.command_id == again.command_id != other.command_id
    assert one.action == again.action


async def test_a_second_click_after_the_first_was_decided_shows_what_came_of_it(client, running: Running):
    """It is neither asked for again nor called impossible."""
    running.tickets.by_id[TICKET] = life((e.TicketAnswered, S.ANSWERED, {}))
    page = (await client.get(f"/t/{running.token()}")).text
    data = {"form": hidden(page, "form")}
    first = await client.post(f"/t/{running.token()}/accept", data=data)
    (command,) = running.broker.asked
    assert command.expected_version == 2
    running.tickets.by_id[TICKET].append(event(e.TicketAccepted, 3, S.ANSWERED, cause=command.command_id))
    second = await client.post(f"/t/{running.token()}/accept", data=data)
    assert len(running.broker.asked) == 1
    for answer in (first, second):
        assert "We have noted that you agree." in (await client.get(answer.headers["location"])).text


async def test_the_page_waits_for_the_outcome_and_says_what_it_was(make_running):
    """Done, refused with the reason in words, or still being done: then it looks again by itself."""
    running = make_running(outcome_s_max=0.5)
    events = running.tickets.by_id[TICKET] = life((e.TicketAnswered, S.ANSWERED, {}))
    async with running.client() as client:
        answer = await _act(client, running, "appeal", words="No.")
        (command,) = running.broker.asked
        pending = (await client.get(answer.headers["location"])).text
        assert "It is being done." in pending
        assert 'http-equiv="refresh"' in pending
        late = (await client.get(answer.headers["location"] + "&n=20")).text
        assert 'http-equiv="refresh"' not in late
        refused = {"command": "appeal", "why": "illegal_in_state", "cause": command.command_id}
        events.append(event(e.TicketCommandRefused, 3, S.ANSWERED, **refused))
        told = (await client.get(answer.headers["location"])).text
    assert "This is not possible any more" in told
    assert "illegal_in_state" not in told


async def test_who_agrees_agrees_to_what_the_page_showed(client, running: Running):
    """When another answer has come meanwhile, it has to be read first, and nothing that was typed is lost."""
    events = running.tickets.by_id[TICKET] = life((e.TicketAnswered, S.ANSWERED, {}))
    form = hidden((await client.get(f"/t/{running.token()}")).text, "form")
    events.append(event(e.TicketAnswered, 3, S.ANSWERED))
    answer = await client.post(f"/t/{running.token()}/appeal", data={"form": form, "words": "Too little <money>."})
    assert answer.status_code == 409
    assert "Something changed while you were reading." in answer.text
    assert "Too little &lt;money&gt;." in answer.text
    assert running.broker.asked == []


@pytest.mark.parametrize(
    ("act", "typed", "shown"),
    [
        ("add", {}, "Please write something or choose a file."),
        ("add", {"words": "x" * 5001}, "longer than 5,000 characters"),
        ("appeal", {}, "Please write why you do not agree."),
        ("rate", {"words": "well", "score": "6"}, "Please choose one of the five."),
    ],
)
async def test_what_is_missing_is_told_beside_its_field(client, running: Running, act, typed, shown):
    """Nothing is asked of the router, and what was typed stays."""
    running.tickets.by_id[TICKET] = life(
        (e.TicketResolved, S.RESOLVED, {}), (e.TicketSurveyRequested, S.RESOLVED, {"attempt": 1})
    )
    nothing = {} if "words" in typed else {"words": "\u200b\u3164"}
    answer = await _act(client, running, act, **typed, **nothing)
    assert answer.status_code == 422
    assert shown in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert typed.get("words", "") in answer.text
    assert running.broker.asked == []


async def test_a_rating_and_the_end_of_surveys_are_commands(client, running: Running):
    """A rating is possible when one was asked for; not to be asked any more always is."""
    assert (await _act(client, running, "rate", score="5")).status_code == 409
    running.tickets.by_id[TICKET] = life(
        (e.TicketResolved, S.RESOLVED, {}), (e.TicketSurveyRequested, S.RESOLVED, {"attempt": 1})
    )
    await _act(client, running, "rate", score="4", words="Slow, but good.")
    await _act(client, running, "stop_surveys")
    rating, stopping = running.broker.asked
    assert rating.action == c.RecordSurvey(score=4)
    assert running.notes.by_ref[rating.note_ref].text == "Slow, but good."
    assert stopping.action == c.StopSurveys()


async def test_the_language_of_messages_is_chosen_by_command(client, running: Running):
    """The page offers the other one, follows the choice, and a second click is told what came of the first."""
    events = running.tickets.by_id[TICKET]
    page = (await client.get(f"/t/{running.token()}?lang=en")).text
    assert "Write to me in Chinese" in page
    data = {"form": hidden(page, "form"), "language": hidden(page, "language")}
    first = await client.post(f"/t/{running.token()}/choose_language", data=data)
    (command,) = running.broker.asked
    assert command.action == c.ChooseLanguage(language=Language.ZH)
    chosen = {"language": Language.ZH, "cause": command.command_id}
    events.append(event(e.TicketLanguageChosen, 2, S.OPENED, **chosen))
    second = await client.post(f"/t/{running.token()}/choose_language", data=data)
    assert len(running.broker.asked) == 1
    for answer in (first, second):
        told = (await client.get(answer.headers["location"])).text
        assert "以后我们用这种语言给您发消息。" in told
        assert hidden(told, "language") == "en"
    again = {"form": hidden(told, "form"), "language": "zh"}
    assert (await client.post(f"/t/{running.token()}/choose_language", data=again)).status_code == 409
    wrong = {"form": hidden(told, "form"), "language": "xx"}
    assert (await client.post(f"/t/{running.token()}/choose_language", data=wrong)).status_code == 422


async def test_forms_of_another_page_or_none_do_nothing(client, running: Running):
    """A form counts with the token of this link alone."""
    for form in ("", "forged", running.token()):
        answer = await client.post(f"/t/{running.token()}/withdraw", data={"form": form, "words": "mine"})
        assert answer.status_code == 409
        assert "mine" in answer.text
    assert running.broker.asked == []
    assert "The complaint is taken back." not in (await client.get(f"/t/{running.token()}?done={uuid4()}")).text


async def test_a_database_that_is_away_costs_nothing_that_was_typed(
    client, running: Running, monkeypatch: pytest.MonkeyPatch
):
    """Not even the ticket can be read then: a page gives the words back, to be sent again as they are."""
    page = (await client.get(f"/t/{running.token()}")).text
    typed = {"form": hidden(page, "form"), "words": 'It came "broken" <twice>.'}

    async def away(*_args, **_more):
        raise Unavailable(3)

    monkeypatch.setattr(running.revocations, "generation", away)
    answer = await client.post(f"/t/{running.token()}/add", data=typed)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    given = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', answer.text)
    assert {name: unescape(text) for name, text in given} == typed
    assert f'action="/t/{running.token()}/add"' in answer.text
    monkeypatch.undo()
    assert (await client.post(f"/t/{running.token()}/add", data=typed)).status_code == 303


async def test_a_part_that_is_away_costs_nothing_that_was_typed(client, running: Running):
    """The form comes back with a time to wait."""
    running.broker.away = Unavailable(3)
    answer = await _act(client, running, "add", words="Still wet.", files=[("files", ("a.png", PNG))])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert ">Still wet.</textarea>" in answer.text
    assert "a.png" in answer.text


async def test_only_what_the_state_allows_has_a_form(client, running: Running):
    """And settled tickets offer what is left."""
    assert set(forms((await client.get(f"/t/{running.token()}")).text)) == {"add", "withdraw", *ALWAYS}
    running.tickets.by_id[TICKET] = life((e.TicketResolved, S.RESOLVED, {}))
    assert set(forms((await client.get(f"/t/{running.token()}")).text)) == {"add", "accept", "appeal", *ALWAYS}
    running.tickets.by_id[TICKET] = life((e.TicketClosed, S.CLOSED, {}))
    assert set(forms((await client.get(f"/t/{running.token()}")).text)) == {"stop_surveys"}


async def test_an_appeal_is_offered_while_it_would_be_taken(client, running: Running):
    """The page says until when, and afterwards that it is over; of one that was decided, that this was final."""
    running.tickets.by_id[TICKET] = life((e.TicketAnswered, S.ANSWERED, {}))
    for until, is_offered, said in (
        (NOW, True, "you can appeal until Sunday 22 November, 10:00"),
        (NOW - timedelta(microseconds=1), False, "An appeal was possible until Sunday 22 November, 09:59"),
        (None, False, "There was an appeal before; its decision is final."),
    ):
        running.tickets.window = AppealWindow(until)
        page = (await client.get(f"/t/{running.token()}")).text
        assert ("appeal" in forms(page)) == is_offered
        assert said in page
        assert "accept" in forms(page)
    running.tickets.window = None
    assert "appeal" in forms((await client.get(f"/t/{running.token()}")).text)


async def test_the_address_of_an_action_leads_back_to_the_page(client, running: Running):
    """Whoever changes the language or loads it again after an error does not meet a dead end."""
    answer = await client.get(f"/t/{running.token()}/add?lang=zh")
    assert answer.headers["location"] == f"/t/{running.token()}?lang=zh"
    assert "您的投诉" in (await client.get(answer.headers["location"])).text
    assert UUID(int=0) not in running.intake.evidence
