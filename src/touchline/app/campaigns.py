"""Campaigns: applied from a file, versioned, started and stopped; and the one switch that stops everything."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from touchline.app.claims import STOPPED
from touchline.app.ports import Store, StoredCampaign, Unit
from touchline.app.schedules import equip, move_zone
from touchline.model.campaign import Campaign
from touchline.model.errors import Refused


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a file did."""

    name: str
    version: int
    change: Literal["new", "revised", "unchanged"]
    state: str
    obstacles: list[str]


def apply(store: Store, campaign: Campaign, now: datetime, *, version: int | None = None) -> Applied:
    """Make this the campaign's present version. It becomes active unless something that the law or sending wants is missing.

    Args:
        version: The version that this was made from.

    Raises:
        Refused: Somebody has changed the campaign since that version.
    """
    with store.transaction() as unit:
        applied = _applied(unit, campaign, now, version)
        equip(unit, campaign.name, now)
        return applied


def _applied(unit: Unit, campaign: Campaign, now: datetime, version: int | None) -> Applied:
    obstacles = campaign.obstacles()
    stored = unit.campaigns.find(campaign.name)
    if stored is not None and version not in (None, stored.version):
        raise Refused(
            f"Campaign {campaign.name!r} has become version {stored.version}; this change was made from {version}.",
            hint="Look at the present version and make the change again.",
        )
    for mailbox in campaign.mailboxes:
        unit.mailboxes.know(mailbox.address, now)
    if stored is None:
        state = "draft" if obstacles else "active"
        unit.campaigns.create(campaign, state, now)
        return Applied(campaign.name, 1, "new", state, obstacles)
    # A pause is a person's word and outlives any version; obstacles keep a campaign from sending all the same.
    state = "paused" if stored.state == "paused" else "draft" if obstacles else "active"
    if stored.digest == campaign.digest():
        return Applied(campaign.name, stored.version, "unchanged", state, obstacles)
    if campaign.timezone != stored.campaign.timezone:
        move_zone(unit, stored, campaign.timezone, now)
    version = stored.version + 1
    unit.campaigns.revise(stored.id, version, campaign, now)
    present = [mailbox.address for mailbox in campaign.mailboxes]
    gone = [mailbox.address for mailbox in stored.campaign.mailboxes if mailbox.address not in present]
    if gone and present:
        unit.touches.hand_over(stored.id, gone, present[0], now)
    unit.campaigns.set(stored.id, now, state=state)
    return Applied(campaign.name, version, "revised", state, obstacles)


def get(store: Store, name: str) -> StoredCampaign:
    """A campaign by name.

    Raises:
        NotFound: There is none; the message lists those that exist.
    """
    with store.reading() as unit:
        return unit.campaigns.get(name)


def listed(store: Store) -> list[StoredCampaign]:
    """All campaigns in order of name."""
    with store.reading() as unit:
        return [unit.campaigns.get(name) for name in unit.campaigns.names()]


def pause(store: Store, name: str, now: datetime, reason: str = "") -> str:
    """Let a campaign send nothing until it is started; gives the state it had. The reason, if any, is kept until then."""
    with store.transaction() as unit:
        stored = unit.campaigns.get(name)
        if stored.state != "draft":
            unit.campaigns.set(stored.id, now, state="paused")
            if reason.strip():
                unit.controls.put(_pause(name), " ".join(reason.split()), now)
            else:
                unit.controls.drop(_pause(name))
        return stored.state


def pause_reason(unit: Unit, name: str) -> str | None:
    """Why a campaign is paused, where somebody said so."""
    return unit.controls.get(_pause(name))


def _pause(name: str) -> str:
    return f"paused:{name}"


def start(store: Store, name: str, now: datetime) -> str:
    """Let a paused campaign send again; gives the state it had.

    Raises:
        Refused: Something that the law or sending wants is missing.
    """
    with store.transaction() as unit:
        stored = unit.campaigns.get(name)
        obstacles = stored.campaign.obstacles()
        if obstacles:
            raise Refused(
                f"Campaign {name!r} cannot start: {' '.join(obstacles)}", hint="Correct the file and apply it."
            )
        unit.campaigns.set(stored.id, now, state="active")
        unit.controls.drop(_pause(name))
        return stored.state


def stop_all(store: Store, reason: str, now: datetime) -> None:
    """From the moment this returns no sender claims another touch."""
    with store.transaction() as unit:
        unit.controls.put(STOPPED, reason, now)


def start_all(store: Store) -> bool:
    """Lift the stop; False where there was none."""
    with store.transaction() as unit:
        return unit.controls.drop(STOPPED)


def stopped(unit: Unit) -> str | None:
    """Why everything is stopped, or None."""
    return unit.controls.get(STOPPED)


def secret(store: Store, given: str, random: Callable[[], str], now: datetime) -> bytes:
    """The key of this workspace: the one from the settings, else the one kept in the store, made at first use."""
    if given:
        return given.encode()
    with store.reading() as unit:
        kept = unit.controls.get("secret")
    if kept is None:
        with store.transaction() as unit:
            kept = unit.controls.get("secret") or random()
            unit.controls.put("secret", kept, now)
    return kept.encode()
