"""Why is this not sending? Every gate between a touch and its recipient, judged by the functions that sending itself uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from touchline.app.campaigns import pause_reason, stopped
from touchline.app.caps import DAY, cap_of, frees_at
from touchline.app.claims import resting, window_open
from touchline.app.desk import MOST, Count
from touchline.app.health import SILENT
from touchline.app.ledger import batch_of
from touchline.app.letters import OptOut, Unrenderable, contents
from touchline.app.ports import Row, Store, StoredCampaign, Unit
from touchline.app.schedules import JOBS, is_ahead, timing_of, upcoming
from touchline.model.calendar import place_of, send_window
from touchline.model.campaign import Mailbox
from touchline.model.errors import NotFound
from touchline.stages import STAGES, reaches

NEAR, FAR = 50, 2_000
"""Due touches of a mailbox that are looked at: first as many as one claim takes, then more, if none of those may leave."""
PAGE = 20
"""Messages written at a time to find one that can be written."""
OLDEST = 1_000
"""Drafts among which the first to leave is looked for."""

WAITING = ("drafted", "planned", "claimed", "sending", "uncertain")
"""States of a touch whose end is not known."""

DECIDED = ("waiting", "rejected", "held", "unrouted")
"""States of a prospect that the verdict or the route explains."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition that a touch must pass before it may go.

    Attributes:
        why: What is the case, in one sentence.
        next_step: What a person can do; empty where nothing is to be done.
        href: Where.
        opens_at: When it opens by itself, where that is known.
    """

    name: str
    open: bool
    why: str
    next_step: str = ""
    href: str = ""
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """One prospect: where it stands, what it gets next, and what that waits for."""

    prospect: Row
    lead: Row
    touch: Row | None
    gates: list[Gate]

    @property
    def due_at(self) -> datetime | None:
        """When its next touch is due."""
        return self.touch["due_at"] if self.touch else None

    @property
    def held_by(self) -> Gate | None:
        """The first gate that is closed."""
        return next((gate for gate in self.gates if not gate.open), None)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the gates look at.

    Attributes:
        mailboxes: Those that have something to send; all, where none has.
        due: Touches that would be claimed next, with their leads.
        first: When the first planned touch is due.
        drafts: How many wait for a yes.
        draft_due: When the first of those is to leave.
        suppressed: Why, by identity, of the due ones.
    """

    unit: Unit
    stored: StoredCampaign
    now: datetime
    opt_out: OptOut
    mailboxes: Sequence[Mailbox]
    due: list[Row]
    first: datetime | None
    drafts: Count
    draft_due: datetime | None
    suppressed: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where the campaign is shown."""
        return f"/campaigns/{self.stored.campaign.name}"

    @property
    def is_due(self) -> bool:
        """Whether a planned touch has come due."""
        return self.first is not None and self.first <= self.now

    @property
    def draft_is_due(self) -> bool:
        """Whether a draft could leave if somebody said yes."""
        return self.draft_due is not None and self.draft_due <= self.now

    @property
    def living(self) -> list[Row]:
        """The due touches that are not suppressed."""
        return [row for row in self.due if row["identity"] not in self.suppressed]


def gates(store: Store, campaign: str, now: datetime, opt_out: OptOut) -> list[Gate]:
    """Every gate of a campaign, each judged by itself; it sends nothing now while one of them is closed.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        scene = _campaign_scene(unit, unit.campaigns.get(campaign), now, opt_out)
        return [gate(scene) for gate in GATES]


def why_not(store: Store, prospect_id: int, now: datetime, opt_out: OptOut) -> WhyNot:
    """What one prospect waits for.

    Raises:
        NotFound: No such prospect.
    """
    with store.reading() as unit:
        lead = unit.prospects.lead_of(prospect_id)
        if lead is None:
            raise NotFound(f"There is no prospect {prospect_id}.", hint="See the leads of a campaign.")
        prospect = next(row for row in unit.prospects.of_lead(lead["id"]) if row["id"] == prospect_id)
        touches = unit.touches.of_prospects([prospect_id])
        touch = next((row for row in touches if row["state"] in WAITING), None)
        stored = unit.campaigns.by_id(prospect["campaign_id"])
        scene = _touch_scene(unit, stored, touch, now, opt_out)
        return WhyNot(prospect, lead, touch, [_prospect(prospect, touch), *(gate(scene) for gate in GATES)])


def _campaign_scene(unit: Unit, stored: StoredCampaign, now: datetime, opt_out: OptOut) -> _Scene:
    due_at = {one.address: unit.desk.next_due(stored.id, one.address) for one in stored.campaign.mailboxes}
    have = [one for one in stored.campaign.mailboxes if (at := due_at[one.address]) is not None and at <= now]
    drafts = Count.upto(unit.desk.drafts(stored.id, MOST + 1))

    def scene(depth: int) -> _Scene:
        due = [row for one in have for row in unit.touches.due(one.address, stored.id, now, depth)]
        return _Scene(
            unit,
            stored,
            now,
            opt_out,
            mailboxes=have or stored.campaign.mailboxes,
            due=due,
            first=unit.touches.next_due(stored.id),
            drafts=drafts,
            draft_due=unit.desk.drafts_due(stored.id, OLDEST) if drafts else None,
            suppressed=_suppressed(unit, due),
        )

    near = scene(NEAR)
    # What may not leave is cancelled or postponed by whoever sends, who then looks at the next ones.
    if len(near.due) >= NEAR and not all(gate(near).open for gate in (_window, _suppression, _text)):
        return scene(FAR)
    return near


def _touch_scene(unit: Unit, stored: StoredCampaign, touch: Row | None, now: datetime, opt_out: OptOut) -> _Scene:
    mine = [one for one in stored.campaign.mailboxes if touch and one.address == touch["mailbox"]]
    drafted = touch is not None and touch["state"] == "drafted"
    due = unit.touches.letters([touch["id"]]) if touch else []
    return _Scene(
        unit,
        stored,
        now,
        opt_out,
        mailboxes=mine or stored.campaign.mailboxes,
        due=due,
        first=touch["due_at"] if touch and not drafted else None,
        drafts=Count(int(drafted)),
        draft_due=touch["due_at"] if touch and drafted else None,
        suppressed=_suppressed(unit, due),
    )


def _suppressed(unit: Unit, due: list[Row]) -> dict[str, str]:
    return dict(unit.suppressions.matching(batch_of(due)).iter_rows()) if due else {}


def _prospect(row: Row, touch: Row | None) -> Gate:
    here = f"/leads/{row['lead_id']}"
    if touch is not None and touch["state"] == "uncertain":
        why = f"Step {touch['step']} may have arrived or not: {touch['reason']}."
        return Gate("prospect", open=False, why=why, next_step="Say what became of it", href="/outbox?state=uncertain")
    decided = row["route_reason"] if row["state"] == "unrouted" else row["verdict_reason"]
    reason = row["state_reason"] or (decided if row["state"] in DECIDED else None)
    why = f"It is {row['state']}" + (f": {reason.rstrip('.')}." if reason else ".")
    if row["state"] == "enrolled":
        return Gate("prospect", open=True, why=why)
    step = "Give it your verdict" if row["state"] == "held" else "Wait for the next run" if row["pending"] else ""
    return Gate("prospect", open=False, why=why, next_step=step, href=here, opens_at=row["recheck_at"])


def _stop(scene: _Scene) -> Gate:
    reason = stopped(scene.unit)
    if reason is None:
        return Gate("stop", open=True, why="Nothing is stopped.")
    return Gate(
        "stop", open=False, why=f"Everything is stopped: {reason.rstrip('.')}.", next_step="Start everything", href="/"
    )


def _state(scene: _Scene) -> Gate:
    stored = scene.stored
    if stored.state == "paused":
        reason = pause_reason(scene.unit, stored.campaign.name)
        why = f"The campaign is paused: {reason.rstrip('.')}." if reason else "The campaign is paused."
        return Gate("state", open=False, why=why, next_step="Start it", href=scene.page)
    if stored.state == "draft" and not stored.campaign.obstacles():
        return Gate("state", open=False, why="The campaign is a draft.", next_step="Start it", href=scene.page)
    return Gate("state", open=True, why=f"The campaign is {stored.state}.")


def _complete(scene: _Scene) -> Gate:
    obstacles = scene.stored.campaign.obstacles()
    if not obstacles:
        return Gate("complete", open=True, why="Postal address, opt-out and mailbox are there.")
    return Gate("complete", open=False, why=" ".join(obstacles), next_step="Complete the campaign", href=scene.page)


def _schedule(scene: _Scene) -> Gate:
    mine = [row for row in scene.unit.schedules.listed() if row["campaign_id"] == scene.stored.id and _sends(row)]
    active = [row for row in mine if row["state"] == "active" and not is_ahead(row, scene.now)]
    if active:
        soonest = [slot.opens_at for row in active if (slot := upcoming(row, scene.now)) is not None]
        why = f"{active[0]['name']} looks {timing_of(active[0])}."
        return Gate("schedule", open=True, why=why, opens_at=min(soonest, default=None))
    if any(row["state"] == "active" for row in mine):
        why = "A clock that ran ahead has left a time to come as the newest."
        return Gate("schedule", open=False, why=why, next_step="Resume the schedule", href="/settings/schedules")
    if mine:
        why = f"{mine[0]['name']} is paused."
        return Gate("schedule", open=False, why=why, next_step="Resume the schedule", href="/settings/schedules")
    why = "No schedule of the campaign sends."
    return Gate(
        "schedule", open=False, why=why, next_step="Run touchline serve, which adds it", href="/settings/schedules"
    )


def _sends(schedule: Row) -> bool:
    job = JOBS[schedule["job"]]
    return schedule["job"] == "send" or reaches(timing_of(schedule).until or job.until or STAGES[-1], "send")


def _worker(scene: _Scene) -> Gate:
    workers = scene.unit.workers.listed()
    alive = [row for row in workers if scene.now - row["beat_at"] <= SILENT]
    if alive:
        return Gate("worker", open=True, why=f"{len(alive)} at work.")
    last = max((row["beat_at"] for row in workers), default=None)
    why = f"The last worker was heard of at {_at(last)}." if last else "No worker has ever run."
    return Gate("worker", open=False, why=why, next_step="Run touchline serve", href="/runs")


def _approval(scene: _Scene) -> Gate:
    if not scene.drafts:
        return Gate("approval", open=True, why="Nothing waits for your yes.")
    href = f"/approvals?campaign={scene.stored.campaign.name}"
    is_open = scene.is_due or not scene.draft_is_due
    return Gate("approval", open=is_open, why=f"{scene.drafts} wait for your yes.", next_step="Read them", href=href)


def _due(scene: _Scene) -> Gate:
    if scene.is_due or scene.draft_is_due:
        return Gate("due", open=True, why="A touch is due." if scene.is_due else "A draft is due.")
    soonest = min(filter(None, (scene.first, scene.draft_due)), default=None)
    if soonest is None:
        why = "Nothing is planned: everybody has got every message, or nobody is enrolled."
        return Gate("due", open=False, why=why, next_step="Import leads", href="/import")
    reason = scene.due[0]["reason"] if len(scene.due) == 1 else None
    why = f"The next touch is due at {_at(soonest)}" + (f" ({reason})." if reason else ".")
    return Gate("due", open=False, why=why, opens_at=soonest)


def _window(scene: _Scene) -> Gate:
    closed = [row for row in scene.living if not window_open(scene.stored, row, scene.now)]
    if not closed or len(closed) < len(scene.living):
        why = "The next recipients are at work." if scene.living else "Nobody is to be written to now."
        return Gate("window", open=True, why=why)
    opens_at = min(filter(None, (_opening(scene, row) for row in closed)), default=None)
    when = f"it opens at {_at(opens_at)}" if opens_at else "it never opens where they are"
    why = f"It is not working time for the next {_people(len(closed))}: {when}."
    return Gate("window", open=False, why=why, next_step="Change the window", href=scene.page, opens_at=opens_at)


def _opening(scene: _Scene, row: Row) -> datetime | None:
    campaign = scene.stored.campaign
    place = place_of(row["timezone"], row["country"], row["region"], campaign.timezone)
    found = send_window(place.zone, row["country"], campaign.window, scene.now, row["region"])
    return found[0] if found else None


def _mailbox(scene: _Scene) -> Gate:
    states = {one.address: scene.unit.mailboxes.state(one.address) for one in scene.mailboxes}
    rests = {address: row for address, row in states.items() if row is not None and resting(row, scene.now)}
    told = "; ".join(f"{address} rests until {_at(row['retry_at'])}: {row['error']}" for address, row in rests.items())
    if len(rests) < len(states) or not states:
        return Gate("mailbox", open=True, why=f"{told}." if told else "No mailbox has an error.", href="/mailboxes")
    opens_at = min(row["retry_at"] for row in rests.values())
    return Gate("mailbox", open=False, why=f"{told}.", next_step="Check it", href="/mailboxes", opens_at=opens_at)


def _cap(scene: _Scene) -> Gate:
    unit, now = scene.unit, scene.now
    working = [one for one in scene.mailboxes if not resting(unit.mailboxes.state(one.address), now)]
    asked = working or scene.mailboxes
    caps = {one: cap_of(unit, one, now) for one in asked}
    used = {one: unit.touches.used(one.address, now - DAY) for one in asked}
    if not asked or any(used[one] < cap for one, cap in caps.items()):
        free = sum(max(0, cap - used[one]) for one, cap in caps.items())
        return Gate("cap", open=True, why=f"{free:,} more may leave now.", href="/mailboxes")
    whens = (frees_at(unit, one.address, cap, used[one], now) for one, cap in caps.items())
    opens_at = min(filter(None, whens), default=None)
    told = ", ".join(f"{one.address} ({cap:,}{_warming(one, cap)})" for one, cap in caps.items())
    why = f"The cap of messages in 24 hours is used up: {told}" + (f"; room at {_at(opens_at)}." if opens_at else ".")
    return Gate("cap", open=False, why=why, next_step="See the mailboxes", href="/mailboxes", opens_at=opens_at)


def _warming(mailbox: Mailbox, cap: int) -> str:
    return f" while it warms up to {mailbox.daily_cap:,}" if cap < mailbox.daily_cap else ""


def _suppression(scene: _Scene) -> Gate:
    if not scene.suppressed:
        return Gate("suppression", open=True, why="None of the next recipients is suppressed.")
    first = next(iter(scene.suppressed.values()))
    why = f"{_people(len(scene.suppressed))} of the next {len(scene.due)} suppressed: {first}."
    return Gate("suppression", open=bool(scene.living), why=why, next_step="See who is", href="/suppression")


def _text(scene: _Scene) -> Gate:
    fault = ""
    rows = [row for row in scene.living if window_open(scene.stored, row, scene.now)] or scene.living
    for page in (rows[start : start + PAGE] for start in range(0, len(rows), PAGE)):
        earlier = scene.unit.touches.earlier([row["prospect_id"] for row in page if row["step"] > 1])
        for content in contents(page, scene.stored.campaign, earlier, scene.opt_out):
            if not isinstance(content, Unrenderable):
                return Gate("text", open=True, why="The next messages can be written.")
            fault = fault or content.reason
    if not fault:
        return Gate("text", open=True, why="Nothing is to be written now.")
    href = f"{scene.page}/sequences"
    why = f"The next messages cannot be written: {fault}."
    return Gate("text", open=False, why=why, next_step="Correct the text", href=href)


def _people(count: int) -> str:
    return "one" if count == 1 else f"{count:,}"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


GATES: tuple[Callable[[_Scene], Gate], ...] = (
    _stop,
    _state,
    _complete,
    _schedule,
    _worker,
    _approval,
    _due,
    _window,
    _mailbox,
    _cap,
    _suppression,
    _text,
)
"""In the order in which a touch meets them."""
