"""Import, Runs, Mailboxes, Suppression and Settings: what they say, what their forms do, and who may press what."""

import re
from datetime import timedelta
from html import escape, unescape
from typing import Any

import pytest

from app.office import ANN, MARA, WEDNESDAY
from touchline.app import access, alerts, people, runs, schedules, uploads, views
from touchline.app.health import health
from touchline.app.tasks import Bench
from touchline.app.work import Work
from touchline.web.api.imports import SAMPLED
from touchline.web.pages import imports, suppression, troubles
from web.api.conftest import OWNER, PASSWORD
from web.pages.conftest import HOSTILE, Person, person, words

FILE = (
    b"Email,First Name,Title,Company,Employees,Country,Shoe size\n"
    b"ann@firm1.com,Ann,CTO,Firm One,120,Germany,41\n"
    b"ann+tag@firm1.com,Ann,CTO,Firm One,120,Germany,41\n"
    b"no address,Bo,CTO,Firm Two,50,Germany,\n"
)


def given(owner: Person, content: bytes = FILE, name: str = "leads.csv", campaign: str = "spring") -> str:
    """The path of a file that was uploaded by the form."""
    form, files = {"csrf": owner.csrf, "campaign": campaign}, {"file": (name, content)}
    answer = owner.ask("POST", "/import", data=form, files=files)
    assert answer.status_code == 303, words(answer.text)
    return str(answer.headers["location"])


def worked(owner: Person, run: int, *files: Any) -> None:
    """Have a worker do all of a run."""
    office = owner.api.office
    bench = Bench(lambda: office.outside, lambda _: files, lambda _: office.post(), {}, "one", lambda: 0.0)
    bench.uploads = owner.api.workspace.uploads
    work = Work(bench, timedelta(hours=1))
    while work.advance(run).more:
        pass


def started(owner: Person, *files: Any, first: str = "harvest", until: str = "nurture") -> int:
    """A run that a worker has done."""
    office = owner.api.office
    row = runs.start(office.store, "spring", first=first, until=until, now=office.now)
    worked(owner, row["id"], *files)
    return int(row["id"])


def failed(owner: Person, error: str) -> int:
    """A run that failed with this error."""
    office = owner.api.office
    row = runs.start(office.store, "spring", first="harvest", until="nurture", now=office.now)
    with office.store.transaction() as unit:
        unit.runs.set(row["id"], state="failed", error=error, finished_at=office.now)
    return int(row["id"])


def last(owner: Person) -> tuple[str, str, str]:
    """The newest entry of the audit."""
    return owner.api.audited()[-1]


# import


def test_a_file_goes_from_upload_by_way_of_a_trial_to_an_import_whose_rows_can_be_read(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.office.apply()
    path = given(owner)
    html = owner.page(path)
    assert "ann@firm1.com · ann+tag@firm1.com · no address" in unescape(html)
    assert '<option value="spring" selected>' in html
    assert last(owner)[0] == "import.upload"

    place = path.partition("?")[0]
    tried = owner.post(f"{place}/try", 200, campaign="spring").text
    assert "All 3 rows were tried, and nothing was kept." in words(tried)
    assert "new 1 updated 0 duplicate 1 suppressed 0 rejected 1" in words(tried)
    assert "bad address" in words(tried)
    assert "Nothing was imported yet" in owner.words("/import")
    assert last(owner)[0] == "import.try"

    assert owner.post(f"{place}/commit", campaign="spring").headers["location"] == place
    with owner.api.workspace.store.reading() as unit:
        [run] = unit.runs.unfinished()
    html = owner.page(place)
    assert f'data-progress="/runs/{run["id"]}/progress"' in html
    assert f'data-then="{place}"' in html

    worked(owner, run["id"])
    done = owner.ask("GET", place)
    # What a trial has undone has used up a number on PostgreSQL.
    made = done.headers["location"]
    number = made.removeprefix("/import/")
    html = owner.page(made)
    said = words(html)
    assert "rows 3 each is in one of these new 1 leads updated 0 known before duplicate 1" in said
    assert f'href="/runs/{run["id"]}"' in html
    assert f'href="/leads?where=import_id+%3D+{number}"' in html
    assert "no address" not in owner.words(f"{made}?outcome=duplicate")
    assert "leads.csv" in owner.words("/import")
    text = owner.ask("GET", f"{made}/rows.csv?outcome=rejected")
    assert text.headers["content-disposition"] == f'attachment; filename="import-{number}-rejected.csv"'
    assert text.text.splitlines()[0] == "row,outcome,reason,identity,raw"
    assert len(text.text.splitlines()) == 2


def test_the_rows_of_an_import_come_page_by_page(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "SHOWN", 1)
    owner.api.office.apply()
    owner.api.office.load(owner.api.office.csv("no address,,,,,", "no one,,,,,"))
    html = owner.page("/import/1")
    assert 'href="/import/1?after=1#rows"' in html
    assert 'href="/import/1#rows"' in owner.page("/import/1?after=1")


def test_columns_can_be_changed_and_stay_changed_until_the_import(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner, b"Work mail,Private mail,Who\na@firm1.com,b@home.com,Ann Lee\n").partition("?")[0]
    tried = owner.post(f"{place}/try", 200, campaign="spring", column=["email=Private mail", "full_name=Who"]).text
    assert '<option value="email=Private mail" selected>' in tried
    owner.post(f"{place}/commit", campaign="spring", column=["email=Private mail", "full_name=Who"])
    worked(owner, 1)
    with owner.api.workspace.store.reading() as unit:
        assert unit.leads.find("b@home.com")["first_name"] == "Ann"


def test_a_column_can_be_left_out_or_kept_as_it_is(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner, b"Email,City,Phone,Note\na@firm1.com,Bonn,030 1234567,he is angry\n").partition("?")[0]
    chosen = ["extra=City", "ignored=Note", "ignored=Phone"]
    tried = owner.post(f"{place}/try", 200, campaign="spring", column=chosen).text
    assert words(tried).count("left out") == 2
    assert '<option value="ignored=Note" selected>ignored</option>' in tried
    owner.post(f"{place}/commit", campaign="spring", column=chosen)
    worked(owner, 1)
    with owner.api.workspace.store.reading() as unit:
        lead = unit.leads.find("a@firm1.com")
    assert (lead["city"], lead["phone"], lead["extra"]) == (None, None, '{"city":"Bonn"}')


def test_two_columns_cannot_be_the_same_and_what_was_chosen_is_kept(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner).partition("?")[0]
    answer = owner.post(f"{place}/try", 422, campaign="spring", column=["city=Title", "city=Company"], until="score")
    assert "'Title' and 'Company' of leads.csv cannot both be the city." in words(answer.text)
    assert '<option value="city=Company" selected>' in answer.text
    assert '<option value="score" selected>' in answer.text


def test_a_file_whose_columns_say_nothing_is_understood_when_they_are_named(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner, b"Reach,Who\nann@firm1.com,Ann Lee\n").partition("?")[0]
    said = owner.words(place)
    assert "Its columns are not understood" in said
    assert "it has: 'Reach', 'Who'" in said
    tried = owner.post(f"{place}/try", 200, campaign="spring", email="Reach", full_name="Who").text
    assert "new 1" in words(tried)
    assert '<input type="hidden" name="email" value="Reach">' in tried
    wrong = owner.post(f"{place}/try", 422, campaign="spring", email="Rech").text
    assert "no column &#39;Rech&#39;" in wrong
    assert 'value="Rech"' in wrong


@pytest.mark.parametrize("act", ["try", "commit"])
@pytest.mark.parametrize(
    ("form", "code", "said"),
    [
        ({"campaign": ""}, 422, "No campaign is chosen."),
        ({"campaign": "summer"}, 404, "no campaign 'summer'"),
        ({"campaign": "spring", "column": "nothing=Email"}, 422, "No field of a lead is called 'nothing'"),
    ],
)
def test_what_an_import_cannot_use_is_told_on_its_page(
    owner: Person, act: str, form: dict[str, str], code: int, said: str
) -> None:
    owner.api.office.apply()
    place = given(owner).partition("?")[0]
    assert said in words(owner.post(f"{place}/{act}", code, **form).text)


def test_the_same_content_is_loaded_once(owner: Person) -> None:
    owner.api.office.apply()
    first, second = given(owner).partition("?")[0], given(owner).partition("?")[0]
    owner.post(f"{first}/commit", campaign="spring")
    assert "is loaded by run 1" in words(owner.post(f"{first}/commit", 409, campaign="spring").text)
    worked(owner, 1)
    assert "This content was loaded already" in words(owner.post(f"{second}/try", 200, campaign="spring").text)
    assert "loaded already, as import 1" in words(owner.post(f"{second}/commit", 409, campaign="spring").text)


def test_an_upload_can_be_forgotten_and_one_that_never_loaded_says_why(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner).partition("?")[0]
    assert "Uploaded, not imported yet" in owner.words("/import")
    owner.post(f"{place}/forget")
    assert last(owner)[0] == "import.forget"
    owner.page(place, 404)
    place = given(owner).partition("?")[0]
    owner.post(f"{place}/commit", campaign="spring")
    owner.post("/runs/1/cancel")
    said = owner.words(place)
    assert "Run 1 ended before it loaded anything" in said
    assert "cancelled by user:olga@quillmast.example" in said


def test_an_import_whose_run_is_forgotten_is_still_found(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner).partition("?")[0]
    owner.post(f"{place}/commit", campaign="spring")
    worked(owner, 1)
    with owner.api.workspace.store.transaction() as unit:
        unit.runs.remove([1])
    assert owner.ask("GET", place).headers["location"] == "/import/1"


@pytest.mark.parametrize("text", [*HOSTILE, "\u202egnp.csv"])
def test_nothing_that_a_file_says_becomes_markup(owner: Person, text: str) -> None:
    owner.api.office.apply()
    cell = '"' + text.replace('"', '""') + '"'
    content = f"Email,First Name,{cell}\n{cell},{cell},{cell}\nann@firm1.com,{cell},{cell}\n".encode()
    place = given(owner, content, name=text).partition("?")[0]
    tried = owner.post(f"{place}/try", 200, campaign="spring").text
    owner.post(f"{place}/commit", campaign="spring")
    worked(owner, 1)
    for html in (tried, owner.page("/import"), owner.page("/import/1"), owner.page("/runs/1")):
        assert "<script>alert" not in html
        assert "<img" not in html.replace('<img src="/static/', "")
    assert text in unescape(tried)


# runs


def test_runs_say_what_went_wrong_by_day_and_by_row(owner_on_each: Person) -> None:
    owner = owner_on_each
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    started(owner, office.people(5))
    wrong = failed(owner, "<b>the disk is full</b>")
    html = owner.counted("/runs")
    assert "no worker is there" in words(html)
    assert "touchline serve" in words(html)
    assert "&lt;b&gt;the disk is full&lt;/b&gt;" in html
    assert f'href="/runs/{wrong}"' in html
    assert "Runs by day" in words(html)
    chart = unescape(unescape(owner.page("/runs/days")))
    assert '"name": "done"' in chart
    assert '"name": "failed"' in chart
    assert '"09 Mar"' in chart


def test_runs_are_chosen_by_job_campaign_and_state(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    done, wrong = started(owner), failed(owner, "broken")
    health = schedules.run_now(office.store, "health", office.now)["id"]

    def found(query: str) -> set[int]:
        return {int(key) for key in re.findall(r'<th scope="row"><a href="/runs/(\d+)"', owner.page(f"/runs?{query}"))}

    assert found("") == {done, wrong}
    assert found("job=all") == {done, wrong, health}
    assert found("job=health") == {health}
    assert found("campaign=spring&state=failed") == {wrong}
    assert found(f"before={wrong}") == {done}
    assert "No run like this" in owner.words("/runs?job=send")
    owner.page("/runs?campaign=nobody", 404)
    owner.page("/runs?job=nothing", 422)


def test_totals_of_runs_that_are_gone_stay_in_the_chart(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    with office.store.transaction() as unit:
        key = unit.campaigns.get("spring").id
        for day, campaign in (("2027-03-01", key), ("2027-03-01", 0), ("2026-01-01", key)):
            unit.runs.put_total(day, "daily", campaign, "done", count=7, seconds=1.0, counts={})
    owner.page("/runs")
    owner.api.app_counts.settle(10)
    assert re.findall(r'<td class="num">(7|14|21)</td>', owner.page("/runs/days")) == ["7"]


def test_a_run_shows_its_stages_batches_and_what_it_took(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    key = started(owner, office.csv("ann@firm1.com,Ann,CTO,Firm One,120,Germany", "no address,,,,,"))
    said = owner.words(f"/runs/{key}")
    assert "harvest 2 1 1 new, 1 rejected 1" in said
    assert "Seconds by part" in said
    assert "Worker one" in said
    assert "data-progress" not in owner.page(f"/runs/{key}")
    by_hand = runs.run(
        office.outside,
        "spring",
        until="nurture",
        limit=None,
        sources=lambda _: [office.people(3)],
        post=lambda _: office.post(),
    )
    said = owner.words(f"/runs/{by_hand.run_id}")
    assert "harvest 3 3 3 new" in said
    [loaded] = by_hand.imports
    assert f'<a href="/import/{loaded["import_id"]}">{loaded["name"]}</a>' in owner.page(f"/runs/{by_hand.run_id}")
    assert f"{loaded['name']} 3 3 new" in said
    assert "Batches" not in said
    with office.store.transaction() as unit:
        counts = {"imports": [], "judged": 12, "sending": {"sent": 4, "deferred": 1, "failed": 0}}
        unit.runs.set(by_hand.run_id, counts=counts)
    said = owner.words(f"/runs/{by_hand.run_id}")
    assert "judge 12 12 12 prospects" in said
    assert "send 5 4 1 deferred, 4 sent" in said
    assert "No file was new" in said


def test_a_batch_that_was_set_aside_names_its_file(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    loaded = office.load(office.people(1))
    key = failed(owner, "broken")
    with office.store.transaction() as unit:
        place = {"import": loaded.import_id, "offset": 0, "row": 0, "rows": 1}
        unit.runs.add_batch(key, "harvest", "set_aside", office.now, place=place)
        unit.runs.add_batch(key, "harvest", "set_aside", office.now, place=place | {"import": 99})
    named = f'of <a href="/import/{loaded.import_id}">{loaded.name}</a>'
    assert owner.page(f"/runs/{key}").count(named) == 1


def test_what_a_run_took_is_told_in_the_words_of_the_command_line(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    key = started(owner, office.people(1))
    for seconds, words_of_it in ((678.9, "11 min"), (41.27, "41.3 s")):
        with office.store.transaction() as unit:
            unit.runs.set(key, started_at=office.now - timedelta(seconds=seconds), finished_at=office.now)
        assert f"Took {words_of_it}" in owner.words(f"/runs/{key}")
        assert f'data-label="Took">{words_of_it}<' in owner.page("/runs")


def test_a_run_is_started_cancelled_and_retried_by_hand(owner: Person) -> None:
    owner.api.office.apply()
    assert owner.post("/runs", campaign="spring", first="score", until="route").headers["location"] == "/runs/1"
    assert last(owner) == ("run.start", "campaign:spring", "done")
    assert 'data-progress="/runs/1/progress"' in owner.page("/runs/1")
    assert "is queued" in words(owner.post("/runs", 409, campaign="spring").text)
    owner.post("/runs/1/cancel")
    assert last(owner) == ("run.cancel", "run:1", "done")
    assert "cancelled by user:olga" in owner.words("/runs/1")
    owner.post("/runs/1/cancel", 409)
    assert owner.post("/runs/1/retry").headers["location"] == "/runs/2"
    assert last(owner) == ("run.retry", "run:1", "done")
    owner.post("/runs/9/retry", 404)


def test_what_was_set_aside_rests_by_a_button(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    key = started(owner, office.people(1))
    assert "/dismiss" not in owner.page(f"/runs/{key}")
    with office.store.transaction() as unit:
        unit.runs.add_batch(
            key, "harvest", "set_aside", office.now, counts={}, seconds=0.0, attempts=4, place={"rows": 3}
        )
        unit.runs.set(key, state="done", finished_at=office.now)
    assert f"/runs/{key}/dismiss" in owner.page(f"/runs/{key}")
    owner.post(f"/runs/{key}/dismiss")
    assert last(owner) == ("run.dismiss", f"run:{key}", "done")
    assert "Dismissed" in owner.words(f"/runs/{key}")
    assert "/dismiss" not in owner.page(f"/runs/{key}")


def test_the_progress_of_a_run_is_told_until_its_end(owner: Person) -> None:
    owner.api.office.apply()
    place = given(owner).partition("?")[0]
    owner.post(f"{place}/commit", campaign="spring")
    told = owner.ask("GET", "/runs/1/progress?seconds=0")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.text == 'data: {"text": "Waiting for a worker."}\n\n'
    with owner.api.workspace.store.transaction() as unit:
        unit.runs.set(1, state="running", counts={"harvest": {"new": 2, "rejected": 1}})
    assert "harvest: 2 of 3" in owner.ask("GET", "/runs/1/progress?seconds=0").text
    with owner.api.workspace.store.transaction() as unit:
        unit.runs.set(1, state="queued", counts={})
    worked(owner, 1)
    assert '"end": true' in owner.ask("GET", "/runs/1/progress").text
    owner.page("/runs/9/progress", 404)


def test_how_far_an_import_has_come_is_told_in_bytes(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    place = given(owner, b"Email\n" + b"".join(b"ann%d@firm.com\n" % n for n in range(100))).partition("?")[0]
    owner.post(f"{place}/commit", campaign="spring")
    bench = Bench(lambda: office.outside, lambda _: [], lambda _: office.post(), {}, "one", lambda: 0.0)
    bench.uploads = owner.api.workspace.uploads
    Work(bench, timedelta(hours=1)).advance(1)
    told = owner.ask("GET", "/runs/1/progress?seconds=0").text
    assert '"text": "100 rows, 100 new leads"' in told
    assert re.search(r'"done": \d+, "total": \d+', told)


def test_each_trouble_is_told_once_and_those_that_are_alike_together(owner: Person) -> None:
    office = owner.api.office
    boxes = [f"mara{n:02}@quillmast.example" for n in range(40)]
    office.apply(mailboxes=[office.mailbox(address) for address in boxes])
    schedules.ensure(office.store, office.now)
    for _ in range(3):
        run = schedules.run_now(office.store, "daily:spring", office.now)["id"]
        with office.store.transaction() as unit:
            unit.runs.set(run, state="failed", error="the file <i>has gone</i>", finished_at=office.now)
    with office.store.transaction() as unit:
        for minutes, address in enumerate(boxes, 60):
            again = office.now + timedelta(minutes=minutes)
            unit.mailboxes.failing(address, f"454 {address} too often", again, office.now)
    with office.store.transaction() as unit:
        alerts.settle(unit, health(office.store, office.now).findings, office.now)
    for path in ("/", "/runs?job=send"):
        said = owner.words(path)
        assert said.count("the file <i>has gone</i>") == 1, path
        assert said.count("454 (address) too often") == 1, path
        assert "mara04@quillmast.example and 35 more" in said, path
        assert "mara05@quillmast.example" not in said, path
    assert f'<a href="/runs/{run}">Run {run}</a>' in owner.page("/runs")


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("touchline runs show 29", '<a href="/runs/29">Run 29</a>'),
        ("Wait for it, or: touchline runs cancel 3", 'Wait for it, or: <a href="/runs/3">cancel run 3</a>'),
        ("Change it: touchline schedule set a:b", 'Change it: <a href="/settings/schedules/a%3Ab">a:b</a>'),
        ("See: touchline schedule set --help", ""),
        ("touchline serve", "<code>touchline serve</code>"),
        ("Create it, or run `touchline init`.", "Create it, or run <code>touchline init</code>."),
        ("Put <b>it</b> back.", "Put &lt;b&gt;it&lt;/b&gt; back."),
        (None, ""),
    ],
)
def test_a_page_gives_a_link_where_the_command_line_gives_a_command(hint: str | None, said: str) -> None:
    assert str(troubles.advice(hint)) == said


# mailboxes


def test_a_mailbox_shows_its_use_and_what_keeps_it_from_sending(owner: Person) -> None:
    office = owner.api.office
    owner.api.enrol(3, mailboxes=[office.mailbox(daily_cap=2)])
    office.now = WEDNESDAY
    office.send()
    said = owner.words("/mailboxes")
    assert f"{MARA} At its cap goes on 11 Mar 2027" in said
    assert "2 / 2" in said
    with office.store.transaction() as unit:
        unit.mailboxes.failing(MARA, "535 <b>no</b>", office.now + timedelta(hours=1), office.now)
    html = owner.page("/mailboxes")
    assert "535 &lt;b&gt;no&lt;/b&gt;" in html
    assert "Resting" in words(html)


def test_a_look_at_a_mailbox_says_what_it_found_and_counts_as_checked(owner: Person) -> None:
    owner.api.office.apply()
    said = words(owner.post("/mailboxes/check", 200, address=MARA).text)
    assert f"{MARA} works" in said
    assert "Connect" in said
    assert last(owner) == ("mailbox.check", f"mailbox:{MARA}", "done")
    with owner.api.workspace.store.reading() as unit:
        assert unit.controls.get(f"checked:{MARA}")
    part = owner.ask(
        "POST", "/mailboxes/check", data={"address": MARA, "csrf": owner.csrf}, headers={"HX-Request": "true"}
    )
    assert part.text.lstrip().startswith('<div id="checked"')
    owner.post("/mailboxes/check", 404, address="nobody@quillmast.example")


def test_a_mailbox_that_cannot_be_reached_says_so(owner: Person) -> None:
    owner.api.office.apply(mailboxes=[owner.api.office.mailbox(port=1)])
    said = words(owner.post("/mailboxes/check", 200, address=MARA).text)
    assert f"{MARA} does not work" in said
    with owner.api.workspace.store.reading() as unit:
        assert unit.controls.get(f"checked:{MARA}") is None


# suppression


def test_what_is_suppressed_cancels_what_was_planned_and_says_how_much(owner_on_each: Person) -> None:
    owner = owner_on_each
    owner.api.enrol(2)
    answer = owner.post("/suppression", values=f"{ANN}\nexample.org\n", reason="asked on the phone")
    flash = bytes.fromhex(answer.cookies["touchline-flash"]).decode()
    assert flash.partition(":")[2] == "2 new, 0 known already. 1 planned messages are cancelled."
    assert last(owner) == ("suppression.add", "suppressions", "done")
    said = owner.words("/suppression")
    assert f"{ANN} address asked on the phone by user:{OWNER}" in said
    assert "Showing 2 of" in said
    owner.api.app_counts.settle(10)
    assert owner.ask("GET", "/suppression/count").text == "2"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ann+tag@example.org", "ann+tag@example.org gets nothing domain: asked"),
        ("mail.example.org", "mail.example.org gets nothing domain: asked"),
        ("example.com", "example.com is not suppressed"),
        ("bo@example.com", "bo@example.com gets nothing address: asked"),
        ("Firm One", "Firm One gets nothing account: asked"),
        ("@", "@ is not suppressed"),
        ("a b@c", "a b@c cannot be an address"),
    ],
)
def test_whether_somebody_gets_anything_is_answered(owner: Person, value: str, said: str) -> None:
    office = owner.api.office
    office.suppress("example.org")
    office.suppress("bo@example.com")
    office.suppress("firm one", "account")
    assert said in words(owner.ask("GET", "/suppression", params={"value": value}).text)


def test_one_line_that_cannot_be_used_keeps_all_of_them_out_and_in_the_form(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    html = owner.post("/suppression", 422, values="example.org\nx y", reason="asked").text
    assert "Nothing is suppressed: &#39;x y&#39; cannot be an address or a domain." in html
    assert "example.org\nx y</textarea>" in html
    assert 'value="asked"' in html
    assert "Nobody is suppressed" in owner.words("/suppression")
    assert "Write an address" in words(owner.post("/suppression", 422, values="  ").text)
    assert "cannot be planet" in words(owner.post("/suppression", 422, values="a.com", kind="planet").text)
    monkeypatch.setattr(suppression, "MOST", 1)
    assert "These are 2 lines" in words(owner.post("/suppression", 422, values="a.com\nb.com").text)


def test_a_file_of_suppressions_says_what_could_not_be_used(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(content: bytes, code: int, name: str = "no.csv") -> str:
        answer = owner.ask("POST", "/suppression/file", data={"csrf": owner.csrf}, files={"file": (name, content)})
        assert answer.status_code == code, answer.text
        return answer.text

    html = sent(b"value,reason\nexample.org,<b>gone</b>\n<script>alert(1)</script>,x\n", 200, "<b>.csv")
    assert "1 new, 0 known already, 1 cannot be used." in words(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "by file &lt;b&gt;.csv" in owner.page("/suppression")
    assert last(owner)[0] == "suppression.add"
    sent("ann@firm1.com\n".encode("utf-16"), 303)
    assert "has no rows" in words(sent(b"\n", 422))
    assert "an Excel workbook" in words(sent(b"PK\x03\x04 xl/", 422))
    monkeypatch.setattr(suppression, "LARGEST", 10)
    assert "larger than" in words(sent(b"a" * 11, 422))


def test_the_list_goes_out_as_a_file_that_comes_in_again(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "SHOWN", 2)
    for value in ("a.com", "b.com", "c.com"):
        owner.api.office.suppress(value, reason="=1+1")
    assert 'href="/suppression?after=2"' in owner.page("/suppression")
    assert "c.com" in owner.words("/suppression?after=2")
    text = owner.ask("GET", "/suppression.csv").text
    assert text.splitlines()[0] == "kind,value,reason,source,at"
    assert len(text.splitlines()) == 4
    assert "'=1+1" in text
    again = owner.ask("POST", "/suppression/file", data={"csrf": owner.csrf}, files={"file": ("s.csv", text.encode())})
    assert "0 new, 3 known already" in bytes.fromhex(again.cookies["touchline-flash"]).decode()


# settings


def test_settings_say_what_each_means_and_never_a_secret(owner: Person) -> None:
    values = owner.api.workspace.settings.model_copy(
        update={"database_url": "postgresql://me:hush@host/name", "secret": "hush"}
    )
    object.__setattr__(owner.api.workspace, "settings", values)
    html = owner.page("/settings")
    assert "hush" not in html
    assert "postgresql://me:***@host/name" in html
    said = words(html)
    assert "Leads per transaction." in said
    assert "TOUCHLINE_WORKER__TICK_SECONDS" in said
    assert "touchline.toml" in said


def test_people_are_added_with_a_password_that_is_shown_once(owner: Person) -> None:
    made = owner.post("/settings/people", 200, email="kai@quillmast.example", name="Kai", role="reviewer")
    password = re.search(r'<pre tabindex="0" aria-label="password">([^<]+)</pre>', made.text)
    assert password
    assert made.headers["cache-control"] == "no-store"
    assert last(owner) == ("user.add", "user:kai@quillmast.example", "done")
    assert password[1] not in owner.page("/settings/people")
    with owner.api.workspace.store.reading() as unit:
        assert password[1] not in repr(unit.audit.listed(before=None, limit=10))
    store, now = owner.api.workspace.store, owner.api.office.now
    access.log_in(store, owner.api.workspace.hasher, "kai@quillmast.example", password[1], "here", "tests", now)

    owner.post("/settings/people/2/role", role="operator")
    assert last(owner) == ("user.role", "user:2", "done")
    owner.post("/settings/people/2/disable")
    assert "Disabled" in owner.words("/settings/users")
    owner.post("/settings/people/2/enable")
    again = owner.post("/settings/people/2/password", 200).text
    assert "The password of kai@quillmast.example" in words(again)
    assert people.user(store, 2)["role"] == "operator"
    owner.post("/settings/people/1/disable", 409)
    owner.post("/settings/people/9/role", 404, role="viewer")


@pytest.mark.parametrize(
    ("form", "code", "said"),
    [
        ({"email": "kai", "name": "Kai"}, 422, "is no e-mail address"),
        ({"email": "kai@quillmast.example", "name": "K\r\nai"}, 422, "cannot be used"),
        ({"email": "kai@quillmast.example", "name": "\u202eKai"}, 422, "cannot be used"),
        ({"email": OWNER, "name": "Olga"}, 409, "There is a user"),
        ({"email": "kai@quillmast.example", "name": "Kai", "role": "king"}, 422, "is no role"),
    ],
)
def test_somebody_who_cannot_be_added_stays_in_the_form(
    owner: Person, form: dict[str, str], code: int, said: str
) -> None:
    html = owner.post("/settings/people", code, **form).text
    assert said in words(html)
    assert f'value="{escape(form["email"])}"' in html


def test_a_key_is_made_shown_once_and_revoked(owner: Person) -> None:
    made = owner.post("/settings/keys", 200, name="CRM", scope=["leads:read", "runs:read"], days="30").text
    text = re.search(r">(tl_[a-z0-9]{8}_[\w-]{43})<", made)
    assert text
    assert f'data-copy="{text[1]}"' in made
    assert text[1] not in owner.page("/settings/keys")
    assert last(owner) == ("key.make", "key:CRM", "done")
    asked = {"Authorization": f"Bearer {text[1]}"}
    assert owner.api.client.get("/api/v1/leads", headers=asked).status_code == 200
    prefix = text[1][3:11]
    owner.post(f"/settings/keys/{prefix}/revoke")
    assert last(owner) == ("key.revoke", f"key:{prefix}", "done")
    assert owner.api.client.get("/api/v1/leads", headers=asked).status_code == 401
    assert "Revoked" in owner.words("/settings/keys")
    owner.post("/settings/keys/zzzzzzzz/revoke", 404)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "CRM"}, "No scope is given."),
        ({"name": "", "scope": "leads:read"}, "cannot be used"),
        ({"name": "CRM", "scope": "leads:eat"}, "is no scope"),
        ({"name": "CRM", "scope": "leads:read", "days": "soon"}, "is no number of days"),
        ({"name": "CRM", "scope": "leads:read", "days": "9999"}, "cannot live 9999 days"),
    ],
)
def test_a_key_that_cannot_be_made_keeps_its_form(owner: Person, form: dict[str, str], said: str) -> None:
    html = owner.post("/settings/keys", 422, **form).text
    assert said in words(html)
    assert f'value="{form["name"]}"' in html
    if form.get("scope") == "leads:read":
        assert 'value="leads:read" aria-label="read leads" checked' in html


def test_schedules_are_seen_changed_paused_and_run(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    assert "daily:spring its runs , priority 10 daily 02:00-06:00 Europe/Berlin" in owner.words("/settings/schedules")
    path = "/settings/schedules/daily:spring"
    html = owner.page(path)
    assert 'name="opens" value="02:00"' in html
    assert html.count('name="days"') == html.count(" checked>") == 7
    window = {"opens": "22:00", "closes": "04:00", "zone": "Europe/Vienna", "days": ["mon", "fri"]}
    owner.post(path, **window, priority="3", until="score")
    assert last(owner) == ("schedule.set", "schedule:daily:spring", "done")
    assert "mon, fri 22:00-04:00 Europe/Vienna, until score" in owner.words("/settings/schedules")
    assert owner.page(path).count(" checked>") == 2

    owner.post(f"{path}/pause")
    assert "starts nothing until resumed" in owner.words("/settings/schedules")
    owner.post(f"{path}/resume")
    assert owner.post(f"{path}/run").headers["location"] == "/runs/1"
    assert [action for action, _, _ in owner.api.audited()[-3:]] == [
        "schedule.pause",
        "schedule.resume",
        "schedule.run",
    ]
    owner.post(f"{path}/run", 409)
    owner.post(f"{path}/remove", 409)
    owner.post("/settings/schedules/health", every="120")
    assert "every 2 minutes" in owner.words("/settings/schedules")
    owner.page("/settings/schedules/nothing", 404)


def test_a_schedule_shows_its_next_opening_in_its_zone_and_how_its_last_run_ended(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    assert "Active never run 10 Mar, 02:00 Europe/Berlin" in owner.words("/settings/schedules")
    assert "next 10 Mar, 02:00 Europe/Berlin" in owner.words("/")
    run = schedules.run_now(office.store, "daily:spring", office.now)["id"]
    with office.store.transaction() as unit:
        unit.runs.set(run, state="failed", error="<b>broken</b>", finished_at=office.now)
    html = owner.page("/settings/schedules")
    assert f'<a href="/runs/{run}"><span class="state tone-bad" title="&lt;b&gt;broken&lt;/b&gt;">' in html


def test_a_new_schedule_begins_with_the_zone_of_its_campaign(owner: Person) -> None:
    owner.api.office.apply()
    owner.api.office.apply(name="lisbon", timezone="Europe/Lisbon")
    assert 'name="zone" value="Europe/Lisbon"' in owner.page("/settings/schedules/new?campaign=lisbon")
    assert 'name="zone" value="Europe/Berlin"' in owner.page("/settings/schedules/new?campaign=spring")
    assert 'name="zone" value="Europe/Lisbon"' in owner.page("/settings/schedules/new")
    assert 'name="zone" value="UTC"' in owner.page("/settings/schedules/new?job=retention")
    owner.page("/settings/schedules/new?campaign=nobody", 404)


def test_a_schedule_is_added_and_removed(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    assert 'name="every"' in owner.page("/settings/schedules/new?job=send")
    assert 'name="opens" value="02:00"' in owner.page("/settings/schedules/new")
    owner.page("/settings/schedules/new?job=nothing", 404)
    window = {"opens": "18:00", "closes": "20:00", "zone": "Europe/Berlin", "days": ["mon"]}
    owner.post("/settings/schedules", name="evening:spring", job="daily", campaign="spring", **window)
    assert last(owner) == ("schedule.add", "schedule:evening:spring", "done")
    owner.post("/settings/schedules", name="often:spring", job="send", campaign="spring", every="30")
    owner.post("/settings/schedules", name="night", job="retention", **window)
    owner.post("/settings/schedules/evening:spring/remove")
    assert "evening:spring" not in owner.words("/settings/schedules")
    owner.post("/settings/schedules", 404, name="x", job="nothing")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"opens": "25:00"}, "is not a time of day"),
        ({"zone": "<b>Mars</b>"}, "Mars"),
        ({"days": []}, "needs at least one day"),
        ({"priority": "first"}, "is no number of a priority"),
        ({"name": "Not a name"}, "is no name for a schedule"),
        ({"until": "nothing"}, "is no stage"),
    ],
)
def test_a_window_that_cannot_be_is_told_and_kept(owner: Person, changes: dict[str, Any], said: str) -> None:
    office = owner.api.office
    office.apply()
    form = {"opens": "18:00", "closes": "20:00", "zone": "Europe/Berlin", "days": ["mon"], "name": "evening"}
    html = owner.post("/settings/schedules", 422, job="daily", campaign="spring", **(form | changes)).text
    assert said in words(html)
    assert "<b>Mars" not in html
    for name in ("opens", "zone", "name"):
        assert f'value="{escape((form | changes)[name])}"' in html


def test_views_lead_to_their_leads_and_can_be_removed(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    name = "<b>big</b>"
    query = {"campaign": "spring", "where": "employees > 50"}
    views.add(office.store, name, query, by=OWNER, now=office.now)
    html = owner.page("/settings/views")
    assert 'href="/leads?campaign=spring&amp;where=employees+%3E+50"' in html
    assert name not in html
    owner.post("/settings/views/remove", name=name)
    assert last(owner)[0] == "view.remove"
    assert "No view is saved yet" in owner.words("/settings/views")
    owner.post("/settings/views/remove", 404, name=name)


def test_a_new_password_ends_every_session(owner: Person) -> None:
    wrong = owner.post(
        "/settings/account/password",
        409,
        old="not it, by no means",
        new="a new sentence here",
        again="a new sentence here",
    )
    assert "The old password is wrong." in words(wrong.text)
    assert "a new sentence here" not in wrong.text
    two = owner.post("/settings/account/password", 422, old=PASSWORD, new="a new sentence here", again="another")
    assert "typed in two ways" in words(two.text)
    done = owner.post(
        "/settings/account/password", old=PASSWORD, new="a new sentence here", again="a new sentence here"
    )
    assert done.headers["location"] == "/login"
    assert ("user.password", f"user:{OWNER}", "done") in owner.api.audited()
    assert owner.ask("GET", "/settings/account").headers["location"].startswith("/login")


def test_a_time_zone_is_chosen_and_left(owner: Person) -> None:
    html = owner.post("/settings/account/zone", 422, zone='"><script>').text
    assert "is no time zone" in words(html)
    assert "<script>" not in html.replace("<script ", "")
    owner.post("/settings/account/zone", zone="Asia/Tokyo")
    assert 'name="zone" value="Asia/Tokyo"' in owner.page("/settings/account")
    assert last(owner) == ("user.timezone", f"user:{OWNER}", "done")
    owner.post("/settings/account/zone", zone="")
    assert people.user(owner.api.workspace.store, 1)["timezone"] is None


def test_leaving_everywhere_ends_this_session_too(owner: Person) -> None:
    owner.post("/settings/account/leave")
    assert owner.ask("GET", "/").status_code == 303


# who may what


def test_a_viewer_sees_no_button_that_they_may_not_press(owner: Person) -> None:
    office = owner.api.office
    office.apply()
    schedules.ensure(office.store, office.now)
    place = given(owner).partition("?")[0]
    started(owner, office.people(2))
    views.add(office.store, "big", {"where": "employees > 50"}, by=OWNER, now=office.now)
    viewer = person(owner.api, "viewer")
    pages = ["/import", place, "/runs", "/runs/1", "/mailboxes", "/suppression", "/settings/schedules"]
    pages += ["/settings/schedules/daily:spring", "/settings/views", "/import/1"]
    for path in pages:
        html = viewer.page(path)
        assert set(re.findall(r'<form[^>]*method="post" action="([^"]+)"', html)) - {"/logout"} == set(), path
        assert 'type="file"' not in html
    assert viewer.ask("GET", "/settings").headers["location"] == "/settings/account"
    said = viewer.words("/settings/account")
    assert "People" not in said
    for path in ("/settings/people", "/settings/keys", "/settings/schedules/new"):
        viewer.page(path, 403)
    for path in ("/runs", "/runs/1/retry", "/suppression", f"{place}/commit", "/settings/schedules/daily:spring/pause"):
        viewer.post(path, 403)
    viewer.post("/mailboxes/check", 403, address=MARA)


@pytest.mark.parametrize(
    "path",
    ["/runs", "/suppression", "/mailboxes/check", "/settings/people", "/settings/keys", "/settings/account/zone"],
)
def test_a_form_without_its_token_changes_nothing(owner: Person, path: str) -> None:
    owner.api.office.apply()
    before = owner.api.audited()
    for form in ({}, {"csrf": "0" * 64}):
        answer = owner.ask("POST", path, data={"address": MARA, "values": "a.com", "campaign": "spring"} | form)
        assert answer.status_code == 403
    assert owner.api.audited() == before


def test_a_file_without_its_token_is_not_kept(owner: Person) -> None:
    answer = owner.ask("POST", "/import", data={"csrf": "no"}, files={"file": ("a.csv", FILE)})
    assert answer.status_code == 403
    assert owner.api.workspace.shelf.listed() == []


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("GET", "/suppression?value=a%00", {}),
        ("GET", "/runs?campaign=a%00", {}),
        ("GET", "/import?campaign=a%00", {}),
        ("GET", "/import/uploads/nothing", {}),
        ("GET", "/runs/99999999999999999999", {}),
        ("GET", "/settings/schedules/a%00", {}),
        ("POST", "/suppression", {"values": "a\0.com"}),
        ("POST", "/suppression", {"values": "a.com", "reason": "a\0"}),
        ("POST", "/runs", {"campaign": "a\0"}),
        ("POST", "/mailboxes/check", {"address": "a\0"}),
        ("POST", "/settings/people", {"email": "a\0@b.c", "name": "a"}),
        ("POST", "/settings/keys", {"name": "a\0", "scope": "leads:read"}),
        ("POST", "/settings/views/remove", {"name": "a\0"}),
        ("POST", "/settings/account/zone", {"zone": "a\0"}),
    ],
)
def test_what_no_person_types_is_refused_and_breaks_nothing(
    owner_on_each: Person, method: str, path: str, form: dict[str, str]
) -> None:
    answer = owner_on_each.ask(method, path, **({"data": {"csrf": owner_on_each.csrf} | form} if form else {}))
    assert answer.status_code == 422, answer.text


def test_an_upload_is_looked_at_in_its_first_rows_only() -> None:
    assert SAMPLED <= uploads.TRIED
