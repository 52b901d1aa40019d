"""One campaign in detail: what became of each step, its versions with their differences, a copy of it, and edits of its parts."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from touchline.app.campaigns import Applied, apply
from touchline.app.ports import Store, StoredCampaign
from touchline.app.schedules import equip
from touchline.model.campaign import Campaign
from touchline.model.errors import InvalidInput, NotFound, Refused

SPAN = 50_000
"""Keys of the ledger that are counted at a time; between two of these the counting can be ended."""

LEAVING = ("claimed", "sending")
NAMED_BY = ("address", "name")
"""What an entry of a list is called by, where it has it."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """What became of one step.

    Attributes:
        step: Its position, from 1.
        sending: Claimed, or leaving now.
        replied: People whose last message before they answered was this one.
        bounced: Messages that came back after they had been taken.
        failed: Messages that were refused for good.
        present: Whether the campaign still has this step; what an earlier version sent stays counted.
    """

    sequence: str
    step: int
    name: str
    subject: str | None
    wait_days: int | None
    planned: int
    drafted: int
    sending: int
    sent: int
    replied: int
    bounced: int
    failed: int
    cancelled: int
    uncertain: int
    present: bool


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a campaign."""

    version: int
    digest: str
    applied_at: datetime
    present: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs between two versions; None where it is not there or as it is by default."""

    path: str
    before: str | None
    after: str | None


def steps(store: Store, campaign: str, ending: Callable[[], bool] = lambda: False) -> list[StepLine] | None:
    """What became of each step, in order; None where `ending` said so.

    Goes through the whole ledger in ranges of keys, since an index for it would cost every message: keep what it gives.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        counts: Counter[tuple[str, int, str]] = Counter()
        for start in range(0, unit.desk.newest_touch(), SPAN):
            if ending():
                return None
            for row in unit.desk.by_step(stored.id, start, start + SPAN):
                counts[row["sequence"], row["step"], row["state"]] += row["touches"]
        for what, rows in (("replied", unit.desk.replies(stored.id)), ("bounced", unit.desk.bounces(stored.id))):
            for row in rows:
                counts[row["sequence"], row["step"], what] += row["touches"]
    return _lines(stored, counts)


def _lines(stored: StoredCampaign, counts: Counter[tuple[str, int, str]]) -> list[StepLine]:
    sequences = stored.campaign.sequences
    present = [(name, place) for name, sequence in sequences.items() for place in range(1, len(sequence.steps) + 1)]
    gone = sorted({(name, place) for name, place, _ in counts} - set(present))
    found = []
    for name, place in [*present, *gone]:
        step = sequences[name].steps[place - 1] if (name, place) in present else None
        states = {state: count for (n, p, state), count in counts.items() if (n, p) == (name, place)}
        told = ("planned", "drafted", "sent", "replied", "bounced", "failed", "cancelled", "uncertain")
        found.append(
            StepLine(
                sequence=name,
                step=place,
                name=step.name if step else f"step {place}",
                subject=step.subject if step else None,
                wait_days=step.wait_days if step else None,
                present=step is not None,
                sending=sum(states.get(state, 0) for state in LEAVING),
                **{state: states.get(state, 0) for state in told},
            )
        )
    return found


def versions(store: Store, campaign: str) -> list[Version]:
    """Every version of a campaign, the newest first.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(campaign)
        rows = unit.desk.versions(stored.id)
    return [Version(**row, present=row["version"] == stored.version) for row in rows]


def difference(store: Store, campaign: str, before: int, after: int) -> list[Change]:
    """What differs between two versions, in order of the place where it stands.

    Raises:
        NotFound: No such campaign, or it has no such version.
    """
    with store.reading() as unit:
        key = unit.campaigns.get(campaign).id
        known = {row["version"] for row in unit.desk.versions(key)}
        for version in (before, after):
            if version not in known:
                raise NotFound(f"Campaign {campaign!r} has no version {version}.", hint=f"It has 1 to {max(known)}.")
        old, new = (dict(_leaves(unit.campaigns.body(key, version).as_document())) for version in (before, after))
    paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return [Change(path, old.get(path), new.get(path)) for path in paths]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a document with the place where it stands: `sequences.short.steps[hello].text`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for place, entry in enumerate(value, 1):
            yield from _leaves(entry, f"{path}[{next((entry[name] for name in NAMED_BY if name in entry), place)}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def clone(store: Store, campaign: str, new_name: str, now: datetime) -> Applied:
    """Add a campaign like another one under a new name: paused and without prospects.

    Raises:
        NotFound: No such campaign.
        InvalidInput: The new name cannot be one.
        Refused: There is a campaign of that name.
    """
    with store.transaction() as unit:
        stored = unit.campaigns.get(campaign)
        made = Campaign.parse(stored.campaign.as_document() | {"name": new_name}, "the copy")
        if unit.campaigns.find(new_name) is not None:
            raise Refused(f"There is a campaign {new_name!r}.", hint="Choose another name.")
        obstacles = made.obstacles()
        state = "draft" if obstacles else "paused"
        unit.campaigns.create(made, state, now)
        equip(unit, new_name, now)
        return Applied(new_name, 1, "new", state, obstacles)


def edited(stored: StoredCampaign, document: Mapping[str, Any]) -> Campaign:
    """The campaign with some of its entries replaced, checked as a file is.

    Args:
        document: Whole entries of the file's first level, such as `sequences` and `snippets`; None takes one away.

    Raises:
        InvalidInput: One line a fault, with the key.
    """
    name = stored.campaign.name
    if document.get("name", name) != name:
        raise InvalidInput(f"name: a campaign keeps its name, {name!r}.", hint="Clone it under the new name.")
    whole = stored.campaign.as_document() | dict(document)
    return Campaign.parse({key: value for key, value in whole.items() if value is not None}, f"campaign {name}")


def revise(
    store: Store, name: str, document: Mapping[str, Any], now: datetime, *, version: int | None = None
) -> Applied:
    """Make a campaign with some of its entries replaced the present version, wholly or not at all.

    Args:
        document: As `edited` takes it.
        version: The version that was edited; None overwrites whatever is there.

    Raises:
        NotFound: No such campaign.
        InvalidInput: One line a fault, with the key.
        Refused: Somebody else has changed the campaign meanwhile.
    """
    with store.reading() as unit:
        stored = unit.campaigns.get(name)
    if version is not None and version != stored.version:
        # What was edited is not what is here: its faults are told by `apply`, as of any other change meanwhile.
        return apply(store, stored.campaign, now, version=version)
    return apply(store, edited(stored, document), now, version=stored.version)
