"""Leads, prospects, events and views over the API: found, added, told, decided, changed in bulk, exported."""

import csv
import io
from datetime import timedelta

from app.office import WEDNESDAY
from touchline.adapters.sources.csv import CsvSource
from touchline.app import bulk
from touchline.model.columns import DECISIONS, LEAD
from touchline.web.api.lead_shapes import Decisions, Lead

HELD = {"name": "look", "when": "country = 'de'", "then": "held"}


def first(api, **params):
    return api.get("/leads", params=params)["items"][0]


def test_the_shapes_tell_every_column_that_there_is():
    assert [column.name for column in LEAD if column.name not in Lead.model_fields] == []
    assert {column.name for column in DECISIONS} - Decisions.model_fields.keys() == {"score_parts"}


def test_leads_are_found_page_by_page_by_key_and_by_score(either):
    either.enrol(5)
    assert [lead["email"] for lead in either.pages("/leads")] == [f"ann{i}@firm{i}.com" for i in (4, 3, 2, 1, 0)]
    assert [lead["id"] for lead in either.pages("/leads?sort=oldest")] == [1, 2, 3, 4, 5]
    ranked = either.pages("/leads?campaign=spring&sort=score")
    assert len({lead["id"] for lead in ranked}) == 5
    assert ranked[0]["prospect"]["tier"] == "b"
    assert ranked[0]["campaigns"] is None
    assert first(either)["campaigns"] == ["spring"]
    assert either.get("/leads?sort=score", 422)["code"] == "invalid_input"


def test_a_filter_is_a_condition_words_or_a_whole_address(either):
    either.enrol(4)
    either.office.add("bob@other.com", employees="7", company="Other", first_name="Bob")
    assert [lead["email"] for lead in either.pages("/leads?where=employees = 7")] == ["bob@other.com"]
    assert [lead["email"] for lead in either.pages("/leads?text=other bob")] == ["bob@other.com"]
    assert [lead["email"] for lead in either.pages("/leads?text=ANN1%2Bx@firm1.com")] == ["ann1@firm1.com"]
    where = "state = 'enrolled' AND has(touch_states, 'planned')"
    assert len(either.pages(f"/leads?campaign=spring&where={where}")) == 4
    problem = either.get("/leads", 422, params={"where": "employes = 7"})
    assert (problem["code"], "did you mean 'employees'?" in problem["detail"]) == ("invalid_input", True)
    assert either.get("/leads?campaign=sprng", 404)["code"] == "not_found"
    assert either.get("/leads?text=a%00b", 422)["code"] == "invalid_request"


def test_a_cursor_belongs_to_its_own_search(api):
    api.enrol(3)
    cursor = api.get("/leads?limit=1")["next"]
    assert api.get("/leads", params={"limit": 1, "cursor": cursor})["items"][0]["id"] == 2
    assert api.get("/leads", 422, params={"limit": 1, "cursor": cursor, "sort": "oldest"})["code"] == "bad_cursor"
    assert api.get("/leads", 422, params={"cursor": cursor, "where": "employees > 1"})["code"] == "bad_cursor"


def test_a_long_filter_has_short_cursors(api):
    api.enrol(3)
    where = " OR ".join(f"employees = {number}" for number in range(100, 250))
    assert len(api.pages(f"/leads?where={where}")) == 3


def test_leads_are_counted_in_the_background(either):
    either.enrol(3)
    either.get("/leads/count?where=employees = 120")
    either.app_counts.settle(10)
    told = either.get("/leads/count?where=employees = 120")
    assert (told["value"], told["as_of"] is not None) == (3, True)
    assert either.get("/leads/count?where=nonsense", 422)["code"] == "invalid_input"


def test_a_lead_is_added_by_hand_the_way_of_a_file(either):
    either.office.apply()
    body = {"campaign": "spring", "values": {"email": "Ada+x@Firm1.com", "employees": "120", "shoe size": "38"}}
    tried = either.post("/leads?dry_run=true", body)
    assert (tried["outcome"], tried["lead_id"], tried["import_id"]) == ("new", None, None)
    made = either.post("/leads", {**body, "until": "nurture"})
    assert made["outcome"] == "new"
    told = either.get(f"/leads/{made['lead_id']}/journey")
    assert (told["lead"]["base_address"], told["lead"]["extra"]) == ("ada@firm1.com", '{"shoe size": "38"}')
    assert told["origin"]["source"] == "manual"
    assert told["campaigns"][0]["state"] == "enrolled"
    again = either.post("/leads", {**body, "values": {"email": "ada@firm1.com"}})
    assert (again["outcome"], again["lead_id"]) == ("duplicate", made["lead_id"])
    bad = either.post("/leads", {**body, "values": {"email": "no address"}})
    assert (bad["outcome"], bad["lead_id"]) == ("rejected", None)
    assert bad["reason"]


def test_a_lead_that_cannot_be_one_is_refused_with_a_reason(api):
    api.office.apply()
    for values in ({}, {"email": "a\0@b.com"}, {"": "x"}, {"a\nb": "x"}):
        assert api.post("/leads", {"campaign": "spring", "values": values}, 422)["code"] == "invalid_request"
    assert api.post("/leads", {"campaign": "none", "values": {"email": "a@b.com"}}, 404)["code"] == "not_found"
    assert api.post("/leads", {"values": {"email": "a@b.com"}}, 422)["errors"][0]["where"] == "body.campaign"


def test_a_lead_is_told_with_its_journey(either):
    either.enrol(1)
    told = either.get(f"/leads/{first(either)['id']}/journey")
    chapter = told["campaigns"][0]
    assert (chapter["campaign"], chapter["tier"], chapter["sequence"]) == ("spring", "b", "short")
    fit = [part for part in chapter["score"] if part["axis"] == "fit"]
    assert [(part["part"], part["points"], part["evidence"]) for part in fit] == [("50 to 500", 60, "employees=120")]
    assert chapter["next_touch"]["step"] == 1
    assert [each["what"] for each in told["happened"]][:2] == ["harvested", "scored in spring"]
    assert (told["suppressed"], told["origin"]["source"]) == (None, "csv")
    assert either.get("/leads/99", 404)["code"] == "not_found"
    assert either.get(f"/leads/{2**63}", 422)["code"] == "invalid_request"


def test_what_has_been_read_is_not_told_again(api):
    api.enrol(1)
    tag = api.ask("GET", "/leads/1/journey").headers["etag"]
    assert api.ask("GET", "/leads/1/journey", headers={"If-None-Match": tag}).status_code == 304
    api.post("/leads/1/suppress")
    assert api.ask("GET", "/leads/1/journey", headers={"If-None-Match": tag}).status_code == 200


def test_a_reply_ends_every_sequence(either):
    either.enrol(2)
    key = first(either, text="ann1@firm1.com")["id"]
    assert either.post(f"/leads/{key}/replied") == {"lead_id": key, "touches_cancelled": 1}
    assert either.get(f"/leads/{key}/journey")["campaigns"][0]["state"] == "replied"
    recorded = either.post("/events", {"kind": "replied", "lead": "ann0@firm0.com"}, 201)
    assert recorded["touches_cancelled"] == 1
    assert [event["kind"] for event in either.pages("/events")] == ["replied", "replied"]
    assert either.audited() == [("lead.replied", f"lead:{key}", "done"), ("lead.replied", f"lead:{3 - key}", "done")]


def test_a_lead_is_suppressed_for_good_or_only_tried(either):
    either.enrol(1)
    tried = either.post("/leads/1/suppress?dry_run=true", {"reason": "asked"})
    assert tried == {"lead_id": 1, "touches_cancelled": 1, "new": True, "dry_run": True}
    assert either.get("/leads/1/journey")["suppressed"] is None
    either.post("/leads/1/suppress", {"reason": "asked on the phone"})
    told = either.get("/leads/1/journey")
    assert (told["campaigns"][0]["state"], told["suppressed"] is not None) == ("stopped", True)
    assert either.get("/suppressions")["items"][0]["reason"] == "asked on the phone"
    assert either.post("/leads/1/suppress")["new"] is False


def test_who_has_no_address_is_suppressed_by_account(api):
    api.office.apply()
    api.office.load(api.office.csv("https://people.example/in/ada,Ada", header="Profile URL,First Name"))
    assert "no address" in api.post("/leads/1/suppress", code=422)["detail"]


def test_an_export_imports_again_unchanged(either):
    either.enrol(3)
    either.office.add("eve@firm9.com", title="=1+1", company='Evil, "Inc"')
    answer = either.ask("GET", "/leads/export")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["email"] for row in rows] == [f"ann{i}@firm{i}.com" for i in range(3)] + ["eve@firm9.com"]
    assert rows[-1]["title"] == "'=1+1"
    (either.office.home / "again.csv").write_text(answer.text, "utf-8")
    again = either.office.load(CsvSource(either.office.home / "again.csv", batch_rows=40), dry_run=True)
    assert {outcome: count for outcome, count in again.counts.items() if count} == {"duplicate": 4}
    decided = list(csv.DictReader(io.StringIO(either.ask("GET", "/leads/export?campaign=spring").text)))
    assert [row["prospect_state"] for row in decided] == ["enrolled"] * 4
    assert either.ask("GET", "/leads/export?where=employees = 1").text.startswith("email,")
    assert either.get("/leads/export?where=nonsense", 422)["code"] == "invalid_input"


def test_a_large_export_has_one_header(api, monkeypatch):
    monkeypatch.setattr("touchline.web.api.leads.EXPORTED", 2)
    api.enrol(5)
    rows = list(csv.reader(io.StringIO(api.ask("GET", "/leads/export").text)))
    assert (len(rows), len({len(row) for row in rows})) == (6, 1)


def test_many_are_changed_after_their_number_was_confirmed(either):
    either.enrol(4)
    order = {"action": "suppress", "where": "employees = 120", "reason": "a customer", "confirmed": 0}
    tried = either.post("/leads/bulk?dry_run=true", order)
    assert (tried["count"], tried["counts"], tried["dry_run"]) == (4, {}, True)
    refused = either.post("/leads/bulk", {**order, "confirmed": 3}, 409)
    assert "4 leads now; 3 were confirmed" in refused["detail"]
    done = either.post("/leads/bulk", {**order, "confirmed": 4})
    assert (done["run"], done["follow"]) == (None, None)
    assert (done["counts"]["matched"], done["counts"]["suppressed"], done["counts"]["touches_cancelled"]) == (4, 4, 4)
    assert len(either.get("/suppressions")["items"]) == 4
    assert either.audited()[-1] == ("leads.suppress", "campaign:*", "done")


def test_a_change_to_more_is_a_run_to_follow(either, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    either.enrol(3)
    order = {"action": "stop", "campaign": "spring", "where": "employees = 120", "reason": "over", "confirmed": 3}
    begun = either.post("/leads/bulk", order, 202)
    assert (begun["count"], begun["counts"]) == (3, {"matched": 0})
    assert begun["follow"] == f"/api/v1/runs/{begun['run']}"
    assert either.audited()[-1] == ("leads.stop", "campaign:spring", "done")
    by = either.get("/audit")["items"][0]["actor"]
    waits = either.get(f"/runs/{begun['run']}")
    decision = {name: order[name] for name in ("action", "campaign", "where", "reason")}
    assert waits["bulk"] == decision | {"text": None, "into": None, "by": by, "count": 3}
    assert (waits["state"], waits["job"]) == ("queued", "bulk")
    worker = either.office.worker()
    while worker.advance(begun["run"]).more:
        pass
    done = either.get(f"/runs/{begun['run']}")
    assert (done["state"], done["counts"]["bulk"]["stopped"]) == ("done", 3)
    assert [run["id"] for run in either.pages("/runs?job=bulk")] == [begun["run"]]
    assert "come to its end" in either.post(f"/runs/{begun['run']}/retry", {}, 409)["detail"]


def test_leads_are_added_to_another_campaign_and_judged_again(either):
    either.enrol(3)
    either.office.apply(name="autumn")
    order = {"action": "enrol", "into": "autumn", "confirmed": 3}
    assert either.post("/leads/bulk", order)["counts"]["enrolled"] == 3
    assert len(either.pages("/leads?campaign=autumn")) == 3
    again = {"action": "requeue", "campaign": "autumn", "confirmed": 3}
    assert either.post("/leads/bulk", again)["counts"]["requeued"] == 3
    assert either.post("/leads/bulk", {"action": "enrol", "confirmed": 3}, 422)["code"] == "invalid_input"
    assert either.post("/leads/bulk", {"action": "stop", "confirmed": 3}, 422)["code"] == "invalid_input"


def test_a_held_prospect_gets_a_persons_verdict(either):
    either.enrol(1, rules=[HELD])
    prospect = first(either, campaign="spring")["prospect"]["prospect_id"]
    told = either.get(f"/prospects/{prospect}")
    assert (told["verdict"], told["verdict_reason"], told["lead"]["email"]) == ("held", "look", "ann0@firm0.com")
    assert sum(part["points"] for part in told["score"] if part["axis"] == "fit") == told["fit"]
    body = {"verdict": "qualified", "reason": "met at the fair"}
    seen = {"If-Match": either.ask("GET", f"/prospects/{prospect}").headers["etag"]}
    decided = either.post(f"/prospects/{prospect}/verdict", body, headers=seen, role="reviewer")
    assert (decided["verdict"], decided["decided_by"].startswith("key:")) == ("qualified", True)
    assert either.post(f"/prospects/{prospect}/verdict", body, 412, headers=seen)["code"] == "changed_meanwhile"
    assert either.post(f"/prospects/{prospect}/verdict", {**body, "reason": ""}, 422)["code"] == "invalid_request"
    assert either.post("/prospects/99/verdict", body, 404)["code"] == "not_found"
    either.office.judge()
    refused = either.post(f"/prospects/{prospect}/verdict", body, 409)
    assert "enrolled" in refused["detail"]


def test_a_prospect_says_what_it_waits_for(either):
    either.enrol(1)
    told = either.get("/prospects/1/gates")
    assert told["held_by"] is not None
    assert [gate["open"] for gate in told["gates"] if gate["name"] == told["held_by"]] == [False]
    assert either.get("/prospects/99/gates", 404)["code"] == "not_found"


def test_events_are_listed_by_lead_kind_and_time(either):
    either.enrol(3)
    either.office.now = WEDNESDAY
    either.office.send()
    either.office.later(hours=1)
    either.post("/leads/2/replied")
    everything = either.pages("/events")
    assert [event["kind"] for event in everything] == ["replied", "sent", "sent", "sent"]
    assert [event["kind"] for event in either.pages("/events?lead=2")] == ["replied", "sent"]
    assert len(either.pages("/events?kind=sent&kind=bounced")) == 3
    later = (WEDNESDAY + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert [event["kind"] for event in either.pages(f"/events?since={later}")] == ["replied"]
    assert [event["kind"] for event in either.pages(f"/events?until={later}")] == ["sent"] * 3
    assert [event["lead_id"] for event in either.pages(f"/events?lead=2&until={later}")] == [2]
    for bad in ("kind=knocked", "since=yesterday", "since=2027-03-09T00:00:00", "since=0001-01-01T00:00:00Z"):
        assert either.get(f"/events?{bad}", 422)["code"] == "invalid_request"


def test_a_view_is_kept_read_and_forgotten(either):
    either.office.apply()
    body = {"name": "Held in Germany", "query": {"campaign": "spring", "where": "state = 'held'", "sort": "score"}}
    made = either.post("/views", body, 201)
    assert (made["name"], made["query"]["where"]) == ("Held in Germany", "state = 'held'")
    assert either.post("/views", body, 409)["code"] == "refused"
    assert [view["name"] for view in either.get("/views")["items"]] == ["Held in Germany"]
    tag = either.ask("GET", "/views/Held in Germany").headers["etag"]
    stale = either.ask("DELETE", "/views/Held in Germany", headers={"If-Match": '"another"'})
    assert stale.status_code == 412
    assert either.ask("DELETE", "/views/Held in Germany", headers={"If-Match": tag}).status_code == 204
    assert either.get("/views/Held in Germany", 404)["code"] == "not_found"
    assert either.post("/views", {"name": "x", "query": {"where": "nonsense"}}, 422)["code"] == "invalid_input"
    assert either.post("/views", {"name": "a/b", "query": {}}, 422)["code"] == "invalid_request"


def test_a_viewer_reads_everything_here_and_changes_nothing(api):
    api.enrol(1)
    for path in ("/leads", "/leads/1", "/prospects/1", "/events", "/views", "/leads/count", "/leads/export"):
        api.get(path, role="viewer")
    for path, body in (
        ("/leads", {"campaign": "spring", "values": {"email": "a@b.com"}}),
        ("/leads/bulk", {"action": "suppress", "reason": "x", "confirmed": 1}),
        ("/leads/1/replied", None),
        ("/leads/1/suppress", None),
        ("/prospects/1/verdict", {"verdict": "rejected", "reason": "x"}),
        ("/events", {"kind": "replied", "lead": "ann0@firm0.com"}),
        ("/views", {"name": "x", "query": {}}),
    ):
        assert api.post(path, body, 403, role="viewer")["code"] == "forbidden"
    assert api.audited() == []
    assert api.get("/leads/1/journey")["campaigns"][0]["state"] == "enrolled"
