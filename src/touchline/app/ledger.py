"""What the ledger writes beside a touch's own state: the event, the next touch, the end of a sequence, a hold."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from touchline.app.pipeline import UNWRITABLE, plan
from touchline.app.ports import Row, StoredCampaign, Unit
from touchline.model.columns import LEAD, lead_schema, shadows
from touchline.stages import nurture


def batch_of(rows: Sequence[Row]) -> pl.DataFrame:
    """Ledger rows as a batch."""
    names = ("identity", *(c.name for c in LEAD))
    frame = pl.DataFrame(
        [{name: row[name] for name in names} for row in rows], schema={"identity": pl.String, **lead_schema()}
    )
    return frame.with_columns(shadows())


def following(stored: StoredCampaign, rows: Sequence[Row], secret: bytes, now: datetime) -> dict[int, Row]:
    """The next touch of each of these touches, by its key, as the ledger wants it; none at the end of a sequence.

    Planned for many at once: one by one, it would cost a message more than all else together.
    """
    found: dict[int, Row] = {}
    for name, step in sorted({(row["sequence"], row["step"] + 1) for row in rows}):
        sequence = stored.campaign.sequences.get(name)
        if sequence is None or step > len(sequence.steps):
            continue
        group = [row for row in rows if (row["sequence"], row["step"] + 1) == (name, step)]
        after = now + timedelta(days=sequence.steps[step - 1].wait_days)
        timed = nurture.due(batch_of(group), stored.campaign.window, stored.campaign.timezone, after, step - 1)
        planned = timed.with_columns(
            pl.Series("prospect_id", [row["prospect_id"] for row in group], pl.Int64),
            # The thread stays with its mailbox, whatever the campaign's list of mailboxes has become.
            pl.Series("mailbox", [row["mailbox"] for row in group], pl.String),
        )
        touches = plan(planned, stored, sequence=name, step=step, secret=secret).iter_rows(named=True)
        found.update(zip((row["touch_id"] for row in group), touches, strict=True))
    return found


def record_sent(unit: Unit, row: Row, said: str, following: Row | None, now: datetime) -> None:
    """A message has left: the event, and the next touch or the end of the sequence."""
    record(unit, "sent", row, said, now)
    if unit.prospects.state(row["prospect_id"]) != "enrolled":
        return  # an answer, an opt-out or a rejection came while the message was leaving
    if following is None:
        unit.prospects.set([row["prospect_id"]], now, state="finished", state_reason=None)
    else:
        unit.touches.add(following, now)


def record(unit: Unit, kind: str, row: Row, detail: str, now: datetime) -> None:
    """Something happened to a touch."""
    unit.journal.record(
        kind,
        now,
        lead_id=row["lead_id"],
        prospect_id=row["prospect_id"],
        touch_id=row["touch_id"],
        account=row["account"],
        detail=detail,
    )


def hold(unit: Unit, row: Row, reason: str, now: datetime) -> None:
    """A message that cannot be written is never sent half: a person looks."""
    said = f"{UNWRITABLE}{reason}"
    unit.touches.settle(row["touch_id"], ("planned",), "cancelled", now, reason=said)
    unit.prospects.set([row["prospect_id"]], now, state="held", state_reason=said)


def stop_prospect(unit: Unit, row: Row, reason: str, now: datetime) -> None:
    """This prospect gets nothing more from the campaign."""
    unit.prospects.set([row["prospect_id"]], now, state="stopped", state_reason=reason, pending=0)
    unit.touches.cancel_open([row["prospect_id"]], reason, now)
