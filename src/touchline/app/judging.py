"""Judging: prospects that have work to do go through the stages again, and what changed is written, batch by batch."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from touchline.app.pipeline import DECIDED, UNWRITABLE, Answers, Outside, enrolments, judge, mail_domains
from touchline.app.ports import Row, StoredCampaign, Unit
from touchline.stages import nurture, reaches

FINAL = ("stopped", "replied", "finished")
"""States that judging never leaves: a person, a reply or the end of the sequence brought them."""

SCORED = ("fit", "opportunity", "tier", "score_parts")
TOLD = (*DECIDED, "state", "state_reason", "pending", "recheck_at")
"""What judging says of a prospect; a row where none of it changed is not written."""


BACK = (
    (pl.col("started") == 1)
    & (pl.col("was_state") == "held")
    & pl.col("decided_by").is_not_null()
    & (pl.col("verdict") == "qualified").fill_null(False)
)
"""Held in the middle of a sequence, and let go on by a person."""


class _Superseded(Exception):
    """The campaign has a newer version than the one of this pass."""


@dataclass(slots=True)
class Judging:
    """Judging under way: prospects that have work to do, or all of them where the campaign has a new version.

    Each batch is one transaction that also moves the cursor, so a killed run goes on behind its last batch. A version
    that comes meanwhile undoes the batch under way, and judging begins anew by it.
    """

    outside: Outside
    stored: StoredCampaign
    until: str
    everyone: bool
    after: int
    total: int
    looked_at: int = 0
    ended: bool = False

    def batch(self, size: int) -> int:
        """Judge the next prospects, `size` at most; gives how many there were."""
        try:
            height, self.after = _judge_batch(
                self.outside, self.stored, self.until, after=self.after, size=size, everyone=self.everyone
            )
        except _Superseded:
            self._begin_anew()
            return self.batch(size)
        self.looked_at += height
        self.ended = height < size
        self.outside.progress.step("judge", self.looked_at, self.total)
        return height

    def set_aside(self, size: int) -> Row:
        """Pass over the next prospects, which keep their work to do; gives their place."""
        after, now = self.after, self.outside.clock.now()
        try:
            with self.outside.store.transaction() as unit:
                page = unit.prospects.page(self.stored.id, after=after, limit=size, everyone=self.everyone)
                place = {"after": after, "prospects": page.height}
                ended = page.height < size
                if page.height:
                    keys = page["prospect_id"]
                    after = keys[-1]
                    unit.prospects.set(keys.to_list(), now, pending=1)
                if self.everyone and reaches(self.until, "nurture"):
                    _keep_place(unit, self.stored, now, after=after, ended=ended)
        except _Superseded:
            self._begin_anew()
            return self.set_aside(size)
        self.after, self.ended = after, ended
        return place

    def _begin_anew(self) -> None:
        with self.outside.store.reading() as unit:
            stored = unit.campaigns.by_id(self.stored.id)
        anew = judging(self.outside, stored, self.until)
        self.stored, self.everyone, self.after = anew.stored, anew.everyone, anew.after
        self.total = self.looked_at + anew.total


def judging(outside: Outside, stored: StoredCampaign, until: str) -> Judging:
    """Begin to judge, or go on behind the last batch of a pass that was cut short."""
    everyone = stored.judged_version < stored.version
    after = stored.judge_cursor if everyone else 0
    with outside.store.transaction() as unit:
        # A batch of an import that was decided by the version before is there when this is ours.
        unit.campaigns.hold(stored.id)
        unit.prospects.wake(stored.id, outside.clock.now())
        total = unit.prospects.pending_count(stored.id, everyone=everyone)
    return Judging(outside, stored, until, everyone, after, total)


def judge_pending(outside: Outside, stored: StoredCampaign, until: str, limit: int | None) -> int:
    """Judge what has work to do, to the end or to a limit; gives how many were looked at."""
    work = judging(outside, stored, until)
    while not work.ended and (limit is None or work.looked_at < limit):
        work.batch(outside.batch_rows if limit is None else min(outside.batch_rows, limit - work.looked_at))
    return work.looked_at


def _keep_place(unit: Unit, stored: StoredCampaign, now: datetime, *, after: int, ended: bool) -> None:
    if not unit.campaigns.judged(stored.id, stored.version, now, upto=None if ended else after):
        raise _Superseded


def _judge_batch(
    outside: Outside, stored: StoredCampaign, until: str, *, after: int, size: int, everyone: bool
) -> tuple[int, int]:
    """Judge one page; gives how many rows it had and the key behind which the next one starts."""
    answers = Answers({}, {})
    if reaches(until, "qualify"):
        with outside.stopwatch.timing("load"), outside.store.reading() as unit:
            page = unit.prospects.page(stored.id, after=after, limit=size, everyone=everyone)
        answers = mail_domains(outside, page)
    now = outside.clock.now()
    answers.keep(outside.store, now)
    with outside.store.transaction() as unit:
        with outside.stopwatch.timing("load"):
            page = unit.prospects.page(stored.id, after=after, limit=size, everyone=everyone)
        if not page.is_empty():
            facts = unit.prospects.facts(stored.id, page, now)
            stopwatch = outside.stopwatch
            decided = judge(page, stored, until=until, mx=answers.words, facts=facts, now=now, stopwatch=stopwatch)
            with stopwatch.timing("save prospects"):
                _save_judged(unit, decided, stored, until, outside.secret, now)
            after = page["prospect_id"][-1]
        if everyone and reaches(until, "nurture"):
            _keep_place(unit, stored, now, after=after, ended=page.height < size)
        outside.probe.reached("judge-before-commit")
    outside.probe.reached("judge-after-commit")
    return page.height, after


def _save_judged(
    unit: Unit, decided: pl.DataFrame, stored: StoredCampaign, until: str, secret: bytes, now: datetime
) -> None:
    """Keep what changed: rows that are as they were cost no write."""
    started, final = pl.col("started") == 1, pl.col("was_state").is_in(FINAL)
    whole = reaches(until, "nurture")
    decided = decided.with_columns(
        pl.when(_stays(name, until, started | final)).then(f"was_{name}").otherwise(name).alias(name) for name in TOLD
    )
    if whole:
        lost = started & ~final & (pl.col("verdict") == "rejected").fill_null(False)
        reason = pl.concat_str(pl.lit("no longer qualified: "), pl.col("verdict_reason").fill_null(""))
        decided = decided.with_columns(
            state=pl.when(lost).then(pl.lit("stopped")).when(BACK).then(pl.lit("enrolled")).otherwise("state"),
            state_reason=pl.when(lost).then(reason).when(~BACK).then("state_reason"),
        )
    same_score = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"was_{name}")) for name in SCORED)
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"was_{name}")) for name in TOLD)
    # The version stays the one that made these very parts: equal scores are not made anew.
    version = pl.when(same_score & pl.col("was_campaign_version").is_not_null()).then("was_campaign_version")
    decided = decided.with_columns(campaign_version=version.otherwise("campaign_version"))
    unit.prospects.save(decided.filter(changed), now)
    if not whole:
        return
    was_enrolled, enrolled = pl.col("was_state") == "enrolled", pl.col("state") == "enrolled"
    out = decided.filter(was_enrolled & ~enrolled)["prospect_id"].to_list()
    unit.touches.cancel_open(out, "no longer routed to this sequence", now)
    # Enrolled without a touch: the campaign had no mailbox then.
    moved = ~was_enrolled | pl.col("sequence").ne_missing(pl.col("was_sequence")) | (pl.col("touched") == 0)
    anew = decided.filter(enrolled & ~started & moved)
    _resume(unit, decided.filter(BACK), stored, now)
    unit.touches.insert(enrolments(anew.filter(pl.col("touched") == 0), stored, secret, now), now)
    unit.touches.replace(enrolments(anew.filter(pl.col("touched") == 1), stored, secret, now), now)


def _resume(unit: Unit, back: pl.DataFrame, stored: StoredCampaign, now: datetime) -> None:
    """Plan the message again that could not be written to these prospects."""
    campaign = stored.campaign
    timed = nurture.due(back, campaign.window, campaign.timezone, now, 0)
    due = dict(timed.select("prospect_id", "due_at").iter_rows())
    state = "drafted" if campaign.mode == "review" else "planned"
    anew = {"subject": None, "text": None, "html": None, "approved_by": None, "reason": None}
    for touch in unit.touches.of_prospects(list(due)):
        if touch["state"] == "cancelled" and (touch["reason"] or "").startswith(UNWRITABLE):
            unit.touches.settle(touch["id"], ("cancelled",), state, now, due_at=due[touch["prospect_id"]], **anew)


def _stays(name: str, until: str, settled: pl.Expr) -> pl.Expr:
    """Whether a column keeps its stored value: no stage made it anew, or the prospect is past where it could change."""
    made_by = {**dict.fromkeys(SCORED, "score"), **dict.fromkeys(("sequence", "route_reason"), "route")}
    if name in ("state", "state_reason", "recheck_at"):
        return settled if reaches(until, "nurture") else pl.lit(True)
    if name in ("sequence", "route_reason"):
        return settled if reaches(until, "route") else pl.lit(True)
    return pl.lit(name != "pending" and not reaches(until, made_by.get(name, "qualify")))
