"""Letters: what one person reads, and what keeps a message from being written."""

from email.parser import BytesParser
from email.policy import default

import pytest
from office import AGAIN, ANN, HELLO, MARA, MONDAY, WEDNESDAY, Office

from touchline.app.letters import Content, OptOut, Unrenderable, contents, message
from touchline.app.tokens import verify

SECRET = b"secret"


def written(office: Office, public_url: str | None = None, **changes: object) -> list[Content | Unrenderable]:
    """What the first touches of two people say."""
    office.apply(**changes)
    office.load(office.people(2), until="nurture")
    return rendered(office, public_url)


def rendered(office: Office, public_url: str | None = None) -> list[Content | Unrenderable]:
    with office.store.reading() as unit:
        rows = unit.touches.letters([row["id"] for row in office.touches()])
        earlier = unit.touches.earlier([row["prospect_id"] for row in rows])
    return contents(rows, office.stored().campaign, earlier, OptOut(SECRET, public_url))


def step(**values: object) -> dict[str, object]:
    return {"sequences": {"short": {"steps": [{**HELLO, **values}, AGAIN]}}}


def test_nobody_gets_no_letter(office: Office) -> None:
    assert contents([], office.apply().campaign, {}, OptOut(SECRET, None)) == []


def test_sender_mailbox_and_snippets_stand_in_the_text(office: Office) -> None:
    snippets = {
        "why": [
            {"when": "first_name = 'anna'", "text": "for {{ first_name }}"},
            {"text": "for everyone"},
        ]
    }
    text = "{{ snippets.why }}, {{ sender.name }} of {{ sender.company }}, {{ mailbox.name }}"
    found = written(office, snippets=snippets, **step(text=text))
    assert [c.text.splitlines()[0] for c in found] == [
        "for Anna, Mara of Quillmast, Mara Ellin",
        "for everyone, Mara of Quillmast, Mara Ellin",
    ]


def test_a_snippet_that_a_message_does_not_use_cannot_keep_it_from_being_written(office: Office) -> None:
    snippets = {"city": [{"text": "in {{ city }}"}]}
    assert all(isinstance(c, Content) for c in written(office, snippets=snippets))


def test_a_snippet_that_nobody_matches_and_a_message_uses_keeps_it_from_being_written(office: Office) -> None:
    snippets = {"city": [{"when": "city = 'ulm'", "text": "in Ulm"}]}
    found = written(office, snippets=snippets, **step(text="How is it {{ snippets.city }}?"))
    assert all(isinstance(c, Unrenderable) for c in found)


def test_one_who_cannot_be_written_to_does_not_keep_the_others_from_it(office: Office) -> None:
    office.apply(**step(text="Hi {{ city }}"))
    header = "Email,First Name,City"
    office.load(office.csv("a@firm0.com,Ann,Ulm", "b@firm1.com,Bo,", header=header), until="nurture")
    found = rendered(office)
    assert [type(c) for c in found] == [Content, Unrenderable]


def test_a_variant_has_its_own_text_and_the_steps_subject_where_it_has_none(office: Office) -> None:
    follow = {**AGAIN, "subject": "Again", "variants": [{"name": "b", "when": "employees > 0", "text": "Variant."}]}
    office.apply(sequences={"short": {"steps": [HELLO, follow]}})
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    found = rendered(office)[1]
    assert isinstance(found, Content)
    assert (found.subject, found.text.splitlines()[0], office.touch(step=2)["variant"]) == ("Again", "Variant.", "b")


def test_html_is_written_with_its_values_escaped_and_its_footer_inside(office: Office) -> None:
    office.apply(**step(html="<html><body><p>Hi {{ company }}</p></body></html>"))
    office.load(office.csv("a@firm0.com,Fish & Chips", header="Email,Company"), until="nurture")
    (found,) = rendered(office, "https://hello.example")
    assert isinstance(found, Content)
    assert "Hi Fish &amp; Chips</p>" in found.html
    assert found.html.index("1 Example Row") < found.html.index("</body>")
    assert found.as_tuple() == (found.subject, found.text, found.html)


def test_the_subject_is_one_line(office: Office) -> None:
    office.apply(**step(subject="Hello\n{{ first_name }}"))
    office.load(office.people(1), until="nurture")
    assert rendered(office)[0].subject == "Hello Anna"


def test_follow_ups_answer_the_first_message_however_many_there_are(office: Office) -> None:
    office.apply(sequences={"short": {"steps": [HELLO, AGAIN, {**AGAIN, "name": "last"}]}})
    office.load(office.people(1), until="nurture")
    for office.now in (WEDNESDAY, MONDAY, MONDAY.replace(day=22)):
        assert office.send() == {"sent": 1}
    mails = [BytesParser(policy=default).parsebytes(m.data) for m in office.smtp.messages]
    assert [m["Subject"] for m in mails] == ["Hello Anna", "Re: Hello Anna", "Re: Hello Anna"]
    ids = [m["Message-ID"] for m in mails]
    assert [m["In-Reply-To"] for m in mails] == [None, ids[0], ids[1]]
    assert mails[2]["References"].split() == ids[:2]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mailboxes": "other"}, "the campaign has no mailbox mara@quillmast.example any more"),
        ({"sequences": "other"}, "the campaign has no step 1 in sequence 'short' any more"),
    ],
)
def test_what_the_campaign_lost_meanwhile_cannot_be_written(office: Office, changes: dict, reason: str) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    given = {
        "mailboxes": {"mailboxes": []},
        "sequences": {
            "sequences": {"other": {"steps": [HELLO]}},
            "routes": [{"name": "all", "when": "fit >= 0", "sequence": "other"}],
        },
    }[next(iter(changes))]
    office.apply(**given)
    assert rendered(office) == [Unrenderable(reason)]


def test_a_step_that_was_taken_out_cannot_be_written_and_is_held(office: Office) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.send()
    office.apply(sequences={"short": {"steps": [HELLO]}})
    office.now = MONDAY
    assert office.send() == {"unwritable": 1}
    reason = "cannot be written: the campaign has no step 2 in sequence 'short' any more"
    assert (office.prospect()["state"], office.touch(step=2)["reason"]) == ("held", reason)


def test_a_sequence_that_was_taken_out_ends_with_what_has_left(office: Office) -> None:
    from touchline.app import outbox
    from touchline.sim.smtp_server import Fault

    office.apply()
    office.load(office.people(1), until="nurture")
    office.now = WEDNESDAY
    office.smtp.script(Fault("dot", "drop"))
    office.send()
    routes = [{"name": "all", "when": "fit >= 0", "sequence": "other"}]
    office.apply(sequences={"other": {"steps": [HELLO]}}, routes=routes)
    outbox.resolve(office.store, office.touch()["id"], "sent", by="mo", secret=SECRET, now=office.now)
    assert (office.prospect()["state"], len(office.touches())) == ("finished", 1)


def test_the_way_out_names_the_prospect_by_mail_and_by_link(office: Office) -> None:
    ways = OptOut(SECRET, "https://hello.example/")
    url, mailto = ways.url(7), ways.mailto(MARA, 7)
    assert url is not None
    assert url.startswith("https://hello.example/o/")
    assert verify(SECRET, url.rpartition("/")[2]) == 7
    assert verify(SECRET, mailto.rpartition("%20")[2]) == 7
    assert OptOut(SECRET, None).url(7) is None


@pytest.mark.parametrize(("name", "shown"), [("Mara Ellin", "Mara Ellin"), ("", "Mara")])
def test_the_message_carries_names_of_both_sides(office: Office, name: str, shown: str) -> None:
    office.apply(mailboxes=[office.mailbox(name=name)])
    office.load(office.csv(f"{ANN},Ann,Lee", "bo@firm1.com,,", header="Email,First Name,Last Name"), until="nurture")
    campaign = office.stored().campaign
    with office.store.reading() as unit:
        rows = unit.touches.letters([row["id"] for row in office.touches()])
    content = Content("Hello", "Hi", None)
    found = [message(row, content, campaign, [], OptOut(SECRET, None), office.now) for row in rows]
    ann, bo = (BytesParser(policy=default).parsebytes(data) for data in found)
    assert (ann["From"], ann["To"], bo["To"]) == (f"{shown} <{MARA}>", f"Ann Lee <{ANN}>", "bo@firm1.com")


def test_a_thread_does_not_go_over_to_another_mailbox(office: Office) -> None:
    office.apply()
    office.load(office.people(1), until="nurture")
    with office.store.reading() as unit:
        (row,) = unit.touches.letters([1])
    earlier = [
        {"message_id": "<a@x.example>", "mailbox": "other@x.example"},
        {"message_id": "<b@x.example>", "mailbox": MARA},
    ]
    data = message(row, Content("s", "t", None), office.stored().campaign, earlier, OptOut(SECRET, None), office.now)
    assert BytesParser(policy=default).parsebytes(data)["References"] == "<b@x.example>"
