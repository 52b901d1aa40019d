"""Suppression: who must get nothing, effective at once for everything that has not begun to leave."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from touchline.app.ports import Unit
from touchline.model.address import base_address_of, base_addresses_of
from touchline.model.cells import restored_text
from touchline.model.columns import fold_text
from touchline.model.errors import InvalidInput

Kind = Literal["address", "domain", "account"]
KINDS: tuple[Kind, ...] = ("address", "domain", "account")


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What an addition did."""

    rows: int
    new: int
    already: int
    rejected: list[tuple[int, str, str]]
    """Row number, value and reason of what could not be used."""
    touches_cancelled: int


def normal(kind: str, value: str) -> str | None:
    """The value as the store compares it, or None where it cannot be one."""
    text = value.strip()
    if kind == "address":
        return base_address_of(text)
    folded = fold_text(text).strip().removeprefix("@").rstrip(".")
    if kind == "domain":
        return folded if folded and "." in folded and not set(folded) & set(" @/,;") else None
    return folded or None


def guess(value: str) -> Kind:
    """An address has a name before its @; anything else is a domain."""
    return "address" if "@" in value.strip().removeprefix("@") else "domain"


def suppress(unit: Unit, entries: Iterable[tuple[str | None, str, str]], source: str, now: datetime) -> Suppressed:
    """Add `(kind or None, value, reason)` and cancel what is planned for whom they mean.

    Every entry is new, already there or rejected with a reason.
    """
    found: dict[tuple[str, str], str] = {}
    rejected: list[tuple[int, str, str]] = []
    told = [(given or guess(value), value, reason) for given, value, reason in entries]
    addresses = iter(base_addresses_of([value.strip() for kind, value, _ in told if kind == "address"]))
    for row, (kind, value, reason) in enumerate(told, 1):
        if kind not in KINDS:
            rejected.append((row, value, f"kind {kind!r} is not one of {', '.join(KINDS)}"))
            continue
        text = next(addresses) if kind == "address" else normal(kind, value)
        if text is None:
            rejected.append((row, value, f"not a usable {kind}"))
        else:
            found.setdefault((kind, text), " ".join(reason.split()) or "no reason given")
    added = unit.suppressions.add(
        pl.DataFrame(
            [(kind, value, reason, source, now) for (kind, value), reason in found.items()],
            schema={
                "kind": pl.String,
                "value": pl.String,
                "reason": pl.String,
                "source": pl.String,
                "at": pl.Datetime("us", "UTC"),
            },
            orient="row",
        )
    )
    cancelled = 0
    for kind in KINDS:
        values = [value for k, value in found if k == kind]
        if values:
            cancelled += stop(unit, unit.leads.ids_of(kind, values), f"suppressed: {kind}", now)
    return Suppressed(len(told), added, len(told) - len(rejected) - added, rejected, cancelled)


def stop(unit: Unit, lead_ids: list[int], reason: str, now: datetime, state: str = "stopped") -> int:
    """End every sequence of these leads; says how many touches that cancelled."""
    if not lead_ids:
        return 0
    return unit.touches.cancel_open(unit.prospects.stop_leads(lead_ids, state, reason, now), reason, now)


def opt_out(unit: Unit, prospect_id: int, how: str, now: datetime) -> bool:
    """A recipient said no: suppress the address for good. Again is harmless; False where it was done before."""
    lead = unit.prospects.lead_of(prospect_id)
    if lead is None or lead["base_address"] is None:
        return False
    done = suppress(unit, [("address", lead["base_address"], "unsubscribed")], how, now)
    if done.new:
        unit.journal.record(
            "unsubscribed", now, lead_id=lead["id"], prospect_id=prospect_id, account=lead["account"], detail=how
        )
    return bool(done.new)


def entries_of(text: str, where: str) -> list[tuple[str | None, str, str]]:
    """Entries of a suppression file: CSV with a column `value` (or address, email, domain) and perhaps `kind` and `reason`.

    A file without a header has one value a line.

    Raises:
        InvalidInput: The file is empty.
    """
    rows = [row for row in csv.reader(io.StringIO(text.replace("\0", ""))) if any(cell.strip() for cell in row)]
    if not rows:
        raise InvalidInput(f"{where} has no rows.", hint="Give a CSV file with the columns kind, value and reason.")
    header = [fold_text(cell.strip()) for cell in rows[0]]
    place = next((header.index(name) for name in ("value", "address", "email", "domain") if name in header), None)
    if place is None:
        return [(None, restored_text(row[0]), "imported") for row in rows]
    kind_of = {"address": "address", "email": "address", "domain": "domain"}.get(header[place])

    def cell(row: list[str], name: str) -> str:
        return (
            restored_text(row[header.index(name)].strip()) if name in header and header.index(name) < len(row) else ""
        )

    return [
        (fold_text(cell(row, "kind")) or kind_of, cell(row, header[place]), cell(row, "reason") or "imported")
        for row in rows[1:]
    ]
