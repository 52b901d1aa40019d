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
    campaign, found = stored.campaign, dict[int, Row]()
    waits = {name: [step.wait_days for step in sequence.steps] for name, sequence in campaign.sequences.items()}
    going_on = [row for row in rows if row["step"] < len(waits.get(row["sequence"], ()))]
    for step in sorted({row["step"] + 1 for row in going_on}):
        group = [row for row in going_on if row["step"] + 1 == step]
        after = [now + timedelta(days=waits[row["sequence"]][step - 1]) for row in group]
        batch = batch_of(group).with_columns(
            pl.Series("after", after, pl.Datetime("us", "UTC")),
            *(pl.Series(name, [row[name] for row in group]) for name in ("touch_id", "prospect_id", "sequence")),
            # The thread stays with its mailbox, whatever the campaign's list of mailboxes has become.
            pl.Series("mailbox", [row["mailbox"] for row in group]),
        )
        timed = nurture.due(batch, campaign.window, campaign.timezone, pl.col("after"), step - 1)
        for (name,), part in timed.group_by("sequence"):
            touches = plan(part, stored, sequence=str(name), step=step, secret=secret).iter_rows(named=True)
            found.update(zip(part["touch_id"].to_list(), touches, strict=True))
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
