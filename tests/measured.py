"""An installation in which everything that is measured has happened at least once."""

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from touchline.adapters.store import tables
from touchline.adapters.store.store import Store
from touchline.app import campaigns, schedules
from touchline.model.campaign import Campaign

NOW = datetime.fromisoformat("2027-03-09T12:00:00+00:00")
MARA, OLA = "mara@quillmast.example", "ola@quillmast.example"
WORK = {"batches": {"done": 4, "set_aside": 1}, "seconds": {"read": 1.5, "match": 0.5}, "harvest": {"new": 120}}


def installation(url: str, home: Path) -> Store:
    """Runs that ended in every way, one that waits, one under way, deliveries with every result, a mailbox at rest."""
    store = Store(url, home)
    store.migrate()
    mailboxes = [{"address": address, "host": "127.0.0.1", "daily_cap": 50} for address in (MARA, OLA)]
    campaigns.apply(store, Campaign.parse(document(mailboxes), "test"), NOW - timedelta(days=2))
    schedules.ensure(store, NOW - timedelta(days=2))
    with store.transaction() as unit:
        spring = unit.campaigns.get("spring").id
        rows = {row["name"]: row["id"] for row in unit.schedules.listed()}
        for number, state in enumerate(("failed", "unfinished", "cancelled", "done")):
            at = NOW - timedelta(hours=30 - number)
            given = {"campaign_id": spring, "schedule_id": rows["daily:spring"], "slot": f"2027-03-0{number}"}
            key = unit.runs.open("daily", at, **given)
            assert key is not None
            unit.runs.set(key, state=state, started_at=at, finished_at=at + timedelta(minutes=2), counts=WORK)
        waits = {"schedule_id": rows["send:spring"], "slot": "2027-03-09T11:58:00Z", "campaign_id": spring}
        unit.runs.open("send", NOW - timedelta(seconds=120), **waits)
        unit.runs.open("retention", NOW - timedelta(hours=1), state="running", started_at=NOW - timedelta(hours=1))
        for schedule in rows.values():
            unit.schedules.take(schedule, "2027-03-09T12:00:00Z", NOW)
        unit.workers.beat("one", "here", 1, ["batch", "send", "health"], NOW)
        unit.workers.beat("gone", "there", 1, ["batch", "send", "health"], NOW - timedelta(hours=1))
        for address in (MARA, OLA):
            unit.mailboxes.know(address, NOW)
        unit.mailboxes.failing(OLA, "login failed", NOW + timedelta(hours=1), NOW)
        for number, result in enumerate(("sent", "sent", "deferred", "failed", "uncertain", "open"), 1):
            at = NOW - timedelta(hours=number)
            gone = {"touch_id": number, "mailbox": MARA, "attempt": 1, "started_at": at, "result": result}
            unit.connection.execute(insert(tables.deliveries), gone)
    return store


def document(mailboxes: list[dict[str, object]]) -> dict[str, object]:
    """A campaign that is just whole enough to be active."""
    points = {"parts": [{"name": "any", "when": "employees > 1", "points": 5}]}
    return {
        "name": "spring",
        "mode": "automatic",
        "sender": {"name": "Mara", "company": "Quillmast", "postal_address": "1 Example Row, Dublin"},
        "mailboxes": mailboxes,
        "icp": {"fit": {"size": points}, "opportunity": {"size": points}},
        "routes": [{"name": "all", "when": "fit >= 0", "sequence": "direct"}],
        "sequences": {"direct": {"steps": [{"name": "one", "subject": "Hello", "text": "Hello there"}]}},
    }
