"""Campaigns and sequences over the API: applied, paused, counted, compared, read and revised."""

import tomllib

import tomli_w

AGAIN = {"name": "hello", "wait_days": 0, "subject": "Good day {{ first_name }}", "text": "Hi {{ extra.pain }}"}


def test_a_campaign_is_applied_as_a_document_and_as_a_file_and_both_are_the_same(either):
    document = either.office.document()
    first = either.post("/campaigns", {"document": document}, 201)
    assert first == {
        "name": "spring",
        "version": 1,
        "change": "new",
        "state": "active",
        "obstacles": [],
        "dry_run": False,
    }
    again = either.post("/campaigns", {"toml": tomli_w.dumps(document)})
    assert (again["change"], again["version"]) == ("unchanged", 1)
    text = either.get("/campaigns/spring/file")
    assert either.post("/campaigns", {"toml": text})["change"] == "unchanged"
    assert tomllib.loads(text) == either.get("/campaigns/spring")["document"]


def test_a_dry_run_of_a_campaign_says_what_would_happen_and_keeps_nothing(either):
    tried = either.post("/campaigns?dry_run=true", {"document": either.office.document()})
    assert (tried["change"], tried["state"], tried["dry_run"]) == ("new", "active", True)
    assert either.get("/campaigns")["items"] == []
    assert either.audited() == [("campaign.try", "campaign:spring", "done")]


def test_a_campaign_that_lacks_something_becomes_a_draft_and_says_what(api):
    made = api.post("/campaigns", {"document": api.office.document(sender={})}, 201)
    assert made["state"] == "draft"
    assert "No postal address: set postal_address under [sender]." in made["obstacles"]
    refused = api.post("/campaigns/spring/start", code=409)
    assert refused["code"] == "refused"
    assert "cannot start" in refused["detail"]


def test_a_campaign_may_use_a_shipped_sequence(api):
    name = api.get("/sequences")[0]["name"]
    document = api.office.document(
        sequences={"short": {"use": name}}, snippets={"offer": [{"text": "It works."}], "proof": [{"text": "Acme."}]}
    )
    answer = api.ask("POST", "/campaigns", json={"document": document})
    assert "unknown key 'sequences.short.use'" not in answer.text


def test_faults_of_a_campaign_name_their_place(api):
    document = api.office.document(routes=[{"name": "all", "when": "fit >= 0", "sequence": "shrt"}])
    problem = api.post("/campaigns", {"document": document}, 422)
    assert problem["code"] == "invalid_input"
    assert "did you mean 'short'?" in problem["detail"]
    assert api.post("/campaigns", {"toml": "name = spring"}, 422)["detail"].startswith("campaign is not TOML")
    assert api.post("/campaigns", {}, 422)["code"] == "invalid_request"
    assert api.post("/campaigns", {"toml": "", "document": {}}, 422)["code"] == "invalid_request"


def test_no_control_character_gets_into_a_campaign(either):
    document = either.office.document(sender={"name": "Ma\0ra"})
    assert "control character" in either.post("/campaigns", {"document": document}, 422)["detail"]
    assert "control character" in either.post("/campaigns", {"toml": 'name = "a\\u0000b"'}, 422)["detail"]
    assert either.get("/campaigns/a%00b", 422)["code"] == "invalid_request"
    assert either.post("/sending/stop", {"reason": "a\0b"}, 422)["code"] == "invalid_request"


def test_a_campaign_is_paused_with_a_reason_and_started_again(either):
    either.office.apply()
    assert either.post("/campaigns/spring/pause", {"reason": "the price has changed"}) == {
        "name": "spring",
        "before": "active",
        "state": "paused",
    }
    assert either.get("/campaigns/spring")["paused_because"] == "the price has changed"
    assert either.post("/campaigns/spring/start")["state"] == "active"
    assert either.get("/campaigns/spring")["paused_because"] is None
    assert either.post("/campaigns/spring/pause")["state"] == "paused"
    assert [action for action, *_ in either.audited()] == ["campaign.pause", "campaign.start", "campaign.pause"]


def test_the_audit_has_the_campaign_before_and_after(api):
    api.office.apply()
    api.post("/campaigns/spring/pause", {"reason": "wait"})
    with api.workspace.store.reading() as unit:
        row = unit.audit.listed(before=None, limit=1)[0]
    assert (row["before"]["state"], row["after"]["state"]) == ("active", "paused")
    assert row["actor"].startswith("key:")


def test_a_clone_is_paused_and_has_nobody(api):
    api.enrol(2)
    assert api.post("/campaigns/spring/clone", {"name": "autumn"}, 201)["state"] == "paused"
    assert api.post("/campaigns/spring/clone", {"name": "autumn"}, 409)["code"] == "refused"
    assert api.post("/campaigns/spring/clone", {"name": "No Name"}, 422)["code"] == "invalid_request"
    assert api.post("/campaigns/sprng/clone", {"name": "winter"}, 404)["code"] == "not_found"
    assert api.get("/leads?campaign=autumn")["items"] == []


def test_the_funnel_adds_up_and_each_line_finds_its_leads(either):
    either.enrol(3)
    either.office.load(either.office.people(2, 10, employees=5), until="nurture")
    first = either.get("/campaigns/spring/funnel")
    either.app_counts.settle(10)
    funnel = either.get("/campaigns/spring/funnel")["value"] or first["value"]
    assert funnel["prospects"] == 5 == sum(line["count"] for line in funnel["lines"])
    for line in funnel["lines"]:
        found = either.get("/leads", params={"campaign": "spring", "where": line["where"]})
        assert len(found["items"]) == line["count"], line
    assert {line["stage"]: line["reason"] for line in funnel["lines"]} == {
        "rejected": "too small",
        "enrolled": "sequence short",
    }


def test_the_gates_say_why_nothing_is_sent(either):
    either.enrol(1)
    either.post("/campaigns/spring/pause", {"reason": "wait for the lawyer"})
    gates = {gate["name"]: gate for gate in either.get("/campaigns/spring/gates")}
    assert gates["stop"]["open"]
    assert not gates["state"]["open"]
    assert "wait for the lawyer" in gates["state"]["why"]
    either.post("/sending/stop", {"reason": "a wrong price"})
    gates = {gate["name"]: gate for gate in either.get("/campaigns/spring/gates")}
    assert not gates["stop"]["open"]


def test_one_switch_stops_everything_and_starts_it_again(api):
    assert api.get("/sending") == {"stopped": False, "reason": None}
    assert api.post("/sending/stop", {"reason": "a wrong price"}) == {"stopped": True, "reason": "a wrong price"}
    assert api.get("/sending")["stopped"]
    assert api.post("/sending/start") == {"stopped": False, "reason": None}
    assert api.post("/sending/stop", {"reason": ""}, 422)["code"] == "invalid_request"


def test_each_step_is_told_in_numbers(either):
    either.enrol(3)
    either.get("/campaigns/spring/steps")
    either.app_counts.settle(10)
    lines = either.get("/campaigns/spring/steps")["value"]
    assert [(line["step"], line["name"], line["planned"], line["present"]) for line in lines] == [
        (1, "hello", 3, True),
        (2, "again", 0, True),
    ]


def test_versions_are_listed_and_compared(either):
    either.office.apply()
    either.office.apply(timezone="Europe/Dublin")
    either.office.apply(timezone="Europe/Paris", mode="review")
    versions = either.pages("/campaigns/spring/versions")
    assert [(each["version"], each["present"]) for each in versions] == [(3, True), (2, False), (1, False)]
    changes = either.get("/campaigns/spring/difference?older=1&newer=2")["changes"]
    assert changes == [{"path": "timezone", "before": "Europe/Berlin", "after": "Europe/Dublin"}]
    assert either.get("/campaigns/spring/difference?older=1&newer=9", 404)["code"] == "not_found"


def test_what_changed_since_it_was_read_is_not_overwritten(either):
    document = either.office.document()
    either.post("/campaigns", {"document": document}, 201)
    answer = either.ask("GET", "/campaigns/spring")
    seen = {"If-Match": answer.headers["etag"]}
    assert either.ask("GET", "/campaigns/spring", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    either.post("/campaigns", {"document": document | {"timezone": "Europe/Paris"}}, headers=seen)
    late = either.post("/campaigns", {"document": document | {"mode": "review"}}, 412, headers=seen)
    assert late["code"] == "changed_meanwhile"
    assert either.get("/campaigns/spring")["document"]["timezone"] == "Europe/Paris"


def test_campaigns_are_listed_page_by_page(api):
    for name in ("c", "a", "e", "d", "b"):
        api.office.apply(name=name)
    assert [each["name"] for each in api.pages("/campaigns")] == ["a", "b", "c", "d", "e"]
    assert api.get("/campaigns?cursor=forged", 422)["code"] == "bad_cursor"


def test_a_name_that_is_not_there_is_told_with_those_that_are(api):
    api.office.apply()
    for path in ("", "/file", "/funnel", "/gates", "/steps", "/versions", "/sequences"):
        problem = api.get(f"/campaigns/sprng{path}", 404)
        assert (problem["code"], "spring" in problem["hint"]) == ("not_found", True)


def test_sequences_are_read_with_what_they_take_from_leads(api):
    api.office.apply()
    told = api.get("/campaigns/spring/sequences")
    assert told["version"] == 1
    assert [(s["name"], s["routes"], [t["name"] for t in s["steps"]]) for s in told["sequences"]] == [
        ("short", ["everyone"], ["hello", "again"])
    ]
    assert told["sequences"][0]["steps"][0]["variables"] == ["company", "first_name"]


def test_a_message_is_read_as_its_lead_would_get_it(either):
    either.enrol(1)
    mail = either.get("/campaigns/spring/preview?sequence=short&lead=ann0@firm0.com")
    assert mail["subject"] == "Hello Anna"
    assert "how does Firm 0 do it?" in mail["text"]
    assert mail["problem"] is None
    edited = either.post(
        "/campaigns/spring/preview",
        {"sequence": "short", "lead": "ann0@firm0.com", "sequences": {"short": {"steps": [AGAIN]}}},
    )
    assert "extra.pain" in edited["problem"] or "pain" in edited["problem"]
    assert either.get("/campaigns/spring")["version"] == 1
    assert either.get("/campaigns/spring/preview?sequence=shrt&lead=ann0@firm0.com", 404)["code"] == "not_found"
    assert either.get("/campaigns/spring/preview?sequence=short&lead=nobody@x.com", 404)["code"] == "not_found"


def test_sequences_are_revised_and_nothing_else_with_them(either):
    either.office.apply()
    told = either.get("/campaigns/spring/sequences")
    steps = {"short": {"steps": [{**AGAIN, "text": "Hi"}]}}
    tried = either.ask("PUT", "/campaigns/spring/sequences?dry_run=true", json={"sequences": steps})
    assert (tried.status_code, tried.json()["version"]) == (200, 2)
    assert either.get("/campaigns/spring")["version"] == 1
    body = {"sequences": steps, "version": told["version"]}
    done = either.ask("PUT", "/campaigns/spring/sequences", json=body)
    assert (done.status_code, done.json()["version"], done.json()["change"]) == (200, 2, "revised")
    late = either.ask("PUT", "/campaigns/spring/sequences", json={**body, "snippets": {}})
    assert (late.status_code, late.json()["code"]) == (409, "refused")
    odd = either.ask("PUT", "/campaigns/spring/sequences", json={"mailboxes": []})
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")
    dirty = either.ask("PUT", "/campaigns/spring/sequences", json={"snippets": {"a": [{"text": "\0"}]}})
    assert (dirty.status_code, dirty.json()["code"]) == (422, "invalid_request")


def test_what_leads_lack_is_counted(either):
    either.enrol(2)
    either.office.add("bob@firm9.com", first_name="", company="")
    either.get("/campaigns/spring/sequences/short/lacking")
    either.app_counts.settle(10)
    told = either.get("/campaigns/spring/sequences/short/lacking")["value"]
    assert (told["leads"], told["sample"]) == (3, False)
    assert {lack["variable"]: lack["leads"] for lack in told["steps"][0]["lacks"]} == {"first_name": 1, "company": 1}
    assert either.get("/campaigns/spring/sequences/none/lacking", 404)["code"] == "not_found"


def test_what_will_leave_is_told_by_day(either):
    either.enrol(3)
    assert [(day["campaign"], day["touches"], day["more"]) for day in either.get("/coming")] == [("spring", 3, False)]
    assert either.get("/coming?zone=Europe/Atlantis", 422)["code"] == "invalid_input"
    assert either.get("/coming?days=0", 422)["code"] == "invalid_request"


def test_a_viewer_changes_no_campaign(api):
    api.office.apply()
    for path, body in (
        ("/campaigns", {"document": api.office.document()}),
        ("/campaigns/spring/pause", {}),
        ("/campaigns/spring/start", None),
        ("/campaigns/spring/clone", {"name": "autumn"}),
        ("/sending/stop", {"reason": "no"}),
        ("/sending/start", None),
    ):
        assert api.post(path, body, 403, role="viewer")["code"] == "forbidden"
    assert api.audited() == []
