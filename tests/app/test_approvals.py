"""Approvals: what a person reads is what leaves, an edit keeps the footer, and every yes and no is counted."""

import pytest
from office import AGAIN, ANN, HELLO, MARA, WEDNESDAY, Office

from touchline.adapters.store import tables
from touchline.app import approvals, campaigns
from touchline.app.approvals import Approved, Rejected, Rendered
from touchline.app.desk import Count
from touchline.app.letters import OptOut
from touchline.model.errors import InvalidInput, NotFound, Refused

FOOTER = "1 Example Row, Dublin"
LINKED = OptOut(b"secret", "https://out.example")


def drafted(office: Office, count: int = 1, **changes: object) -> list[int]:
    """Leads whose first touch waits for a yes; gives the keys of the touches."""
    office.apply(mode="review", **changes)
    office.load(office.people(count), until="nurture")
    office.now = WEDNESDAY
    return [row["id"] for row in office.touches()]


def rendered(office: Office, key: int) -> Rendered:
    return approvals.rendered(office.store, key, office.opt_out, office.now)


def edit(office: Office, key: int, subject: str, text: str, **who: str) -> Rendered:
    given = {"by": "mo", "opt_out": office.opt_out, "now": office.now} | who
    return approvals.edit(office.store, key, subject, text, **given)  # type: ignore[arg-type]


def approve(office: Office, *keys: int) -> Approved:
    return approvals.approve(office.store, keys, by="mo", opt_out=office.opt_out, now=office.now)


def test_the_queue_goes_page_by_page_and_campaign_by_campaign(either: Office) -> None:
    keys = drafted(either, 3)
    either.apply(name="autumn", mode="review", compatibility={"one_sequence_at_a_time": False})
    either.load(either.people(1, start=9), "autumn", until="nurture")
    first = approvals.waiting(either.store, limit=2, opt_out=either.opt_out)
    assert [one.touch_id for one in first] == keys[:2]
    assert all(one.problem is None and one.edited_by is None for one in first)
    rest = approvals.waiting(either.store, after=first[-1].touch_id, opt_out=either.opt_out)
    assert [one.row["campaign"] for one in rest] == ["spring", "autumn"]
    [autumn] = approvals.waiting(either.store, campaign="autumn", opt_out=either.opt_out)
    assert autumn.subject == "Hello Annj"
    assert approvals.waiting_count(either.store) == Count(4)
    assert approvals.waiting_count(either.store, "autumn") == Count(1)
    with pytest.raises(NotFound):
        approvals.waiting(either.store, campaign="none", opt_out=either.opt_out)


def test_what_is_read_is_byte_for_byte_what_leaves(either: Office) -> None:
    either.opt_out = LINKED
    [key] = drafted(either)
    found = rendered(either, key)
    headers = dict(found.headers)
    assert headers["Subject"] == found.subject == "Hello Anna"
    assert headers["From"] == f"Mara Ellin <{MARA}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found.text.startswith("Hi Anna,")
    assert FOOTER in found.text
    assert FOOTER in found.html
    assert found.body.endswith("do it?")
    assert approve(either, key).approved == 1
    assert either.send()["sent"] == 1
    content = either.smtp.messages[0].data.decode()
    assert [name for name, _ in found.headers] == [
        line.partition(":")[0] for line in content.split("\r\n\r\n")[0].split("\r\n") if line[:1] not in (" ", "\t")
    ]
    assert "do it?" in content
    assert rendered(either, key).subject == "Hello Anna"


def test_what_cannot_be_written_says_why(office: Office) -> None:
    [key] = drafted(office, sequences={"short": {"steps": [{**HELLO, "text": "About {{ extra.pain }}"}]}})
    assert "extra.pain" in str(rendered(office, key).problem)
    [one] = approvals.waiting(office.store, opt_out=office.opt_out)
    assert one.subject is None
    assert "extra.pain" in str(one.problem)
    assert approve(office, key) == Approved(0, 0, 0, [(key, str(one.problem))])


def test_an_approved_touch_whose_mailbox_is_gone_says_so(office: Office) -> None:
    [key] = drafted(office)
    approve(office, key)
    with office.store.transaction() as unit:
        unit.connection.execute(tables.touches.update().values(mailbox="gone@quillmast.example"))
    assert rendered(office, key).problem == "the campaign has no mailbox gone@quillmast.example any more"


def test_an_edit_keeps_the_footer_once_and_is_what_leaves(either: Office) -> None:
    either.opt_out = LINKED
    [key] = drafted(either)
    found = edit(either, key, " Another\nsubject ", "Dear Ann,\r\n\r\nhello.")
    assert (found.subject, found.body) == ("Another subject", "Dear Ann,\n\nhello.")
    assert "<p>Dear Ann,</p>" in found.html
    again = edit(either, key, found.subject, found.text)
    assert again.text == found.text
    assert again.text.count(FOOTER) == 1
    [one] = approvals.waiting(either.store, opt_out=either.opt_out)
    assert (one.subject, one.edited_by) == ("Another subject", "mo")
    assert approve(either, key).approved == 1
    assert either.send()["sent"] == 1
    content = either.smtp.messages[0].data.decode()
    assert "Subject: Another subject" in content
    assert "Dear Ann," in content


def test_an_edit_without_words_too_long_or_that_cannot_be_sent_changes_nothing(office: Office) -> None:
    [key] = drafted(office)
    for subject, text, why in (
        ("", "x", "needs a subject"),
        ("x", " \n", "and a text"),
        ("x", "y" * 100_000, "at most"),
    ):
        with pytest.raises(InvalidInput, match=why):
            edit(office, key, subject, text)
    with office.store.transaction() as unit:
        unit.connection.execute(tables.leads.update().values(email="no address"))
    with pytest.raises(InvalidInput, match="cannot be sent"):
        edit(office, key, "x", "y")
    assert office.touches()[0]["subject"] is None
    assert "no address" in str(rendered(office, key).problem)


def test_what_is_approved_or_not_there_cannot_be_edited(office: Office) -> None:
    [key] = drafted(office)
    approve(office, key)
    with pytest.raises(Refused, match=f"Touch {key} is planned"):
        edit(office, key, "x", "y")
    with pytest.raises(NotFound, match="no touch 99"):
        edit(office, 99, "x", "y")


def test_approval_counts_what_it_did_and_looks_at_suppression_again(either: Office) -> None:
    keys = drafted(either, 4)
    entry = {"kind": "address", "value": ANN, "reason": "asked", "source": "test", "at": either.now}
    with either.store.transaction() as unit:
        unit.connection.execute(tables.suppressions.insert().values(**entry))
    suppressed = either.touch()["id"]
    others = [key for key in keys if key != suppressed]
    assert approve(either, others[0]).approved == 1
    assert approve(either, *keys[:3], 99) == Approved(
        approved=3 - 2 if suppressed in keys[:3] else 2, suppressed=int(suppressed in keys[:3]), gone=2, unwritable=[]
    )


def test_a_rejection_ends_the_sequence_and_counts_what_was_gone(either: Office) -> None:
    keys = drafted(either, 2)
    said = {"by": "mo", "reason": "wrong\nperson", "now": either.now}
    assert approvals.reject(either.store, [keys[0], 99], **said) == Rejected(1, 1)  # type: ignore[arg-type]
    assert approvals.reject(either.store, keys[:1], **said) == Rejected(0, 1)  # type: ignore[arg-type]
    touch = next(row for row in either.touches() if row["id"] == keys[0])
    assert (touch["state"], touch["reason"]) == ("cancelled", "rejected: mo: wrong person")
    said["reason"] = " "
    assert approvals.reject(either.store, keys[1:], **said) == Rejected(1, 0)  # type: ignore[arg-type]
    assert {row["reason"] for row in either.touches()} == {"rejected: mo: wrong person", "rejected: by mo"}


def test_a_follow_up_is_read_in_its_thread(office: Office) -> None:
    [key] = drafted(office, sequences={"short": {"steps": [HELLO, AGAIN]}})
    approve(office, key)
    office.send()
    follow_up = office.touch(step=2)["id"]
    found = rendered(office, follow_up)
    assert found.subject == "Re: Hello Anna"
    assert dict(found.headers)["In-Reply-To"] == office.touch()["message_id"]
    campaigns.pause(office.store, "spring", office.now)
    assert rendered(office, key).subject == "Hello Anna"
    assert "In-Reply-To" not in dict(rendered(office, key).headers)
