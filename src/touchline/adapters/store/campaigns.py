"""Campaigns with their versions, mailboxes, and the switches that every sender obeys."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from touchline.adapters.store.engine import hold
from touchline.adapters.store.tables import campaign_versions, campaigns, controls, mailboxes
from touchline.app.ports import StoredCampaign
from touchline.model.campaign import Campaign
from touchline.model.errors import NotFound

# Built once, since sending runs them for every message, and building a statement takes longer than running it.
SENDING = select(campaigns.c.id).where(
    campaigns.c.id == bindparam("key"),
    campaigns.c.state == "active",
    ~exists().where(controls.c.name == bindparam("switch")),
)
READY = (
    update(mailboxes)
    .where(mailboxes.c.address == bindparam("key"), mailboxes.c.state != "ready")
    .values(state="ready", error=None, retry_at=None)
)


def upsert(connection: Connection, table: Any) -> Any:
    """The dialect's own INSERT, which knows ON CONFLICT."""
    return pg_insert(table) if connection.dialect.name == "postgresql" else sqlite_insert(table)


@lru_cache(maxsize=64)
def _content(body: str) -> Campaign:
    """A version's content. It never changes, and checking it anew takes longer than what most questions ask of it."""
    return Campaign.from_json(body)


class Campaigns:
    """Rows of `campaigns` and `campaign_versions`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def names(self) -> list[str]:
        """All, in order of name."""
        return list(self.connection.execute(select(campaigns.c.name).order_by(campaigns.c.name)).scalars())

    def find(self, name: str) -> StoredCampaign | None:
        """The campaign with its present version, or None."""
        return self._one(campaigns.c.name == name)

    def get(self, name: str) -> StoredCampaign:
        """The campaign with its present version.

        Raises:
            NotFound: No campaign has this name.
        """
        found = self.find(name)
        if found is None:
            names = ", ".join(self.names()) or "none yet"
            raise NotFound(
                f"There is no campaign {name!r}.",
                hint=f"Campaigns: {names}. Add one with: touchline campaign apply FILE",
            )
        return found

    def by_id(self, key: int) -> StoredCampaign:
        """The campaign with its present version."""
        found = self._one(campaigns.c.id == key)
        if found is None:
            raise NotFound(f"There is no campaign with key {key}.")
        return found

    def body(self, key: int, version: int) -> Campaign:
        """The content of one version."""
        query = select(campaign_versions.c.body).where(
            campaign_versions.c.campaign_id == key, campaign_versions.c.version == version
        )
        return _content(self.connection.execute(query).scalar_one())

    def sending(self, key: int, switch: str) -> bool:
        """Whether the campaign is active and the switch is off: what a sender asks before each message."""
        return self.connection.execute(SENDING, {"key": key, "switch": switch}).first() is not None

    def hold(self, key: int) -> None:
        """Let no other transaction add prospects to the campaign until this one ends.

        So their keys grow in the order of commits: judging, which pages by key, never passes one that is still to come.
        """
        hold(self.connection, f"prospects of campaign {key}")

    def _one(self, where: Any) -> StoredCampaign | None:
        query = (
            select(campaigns, campaign_versions.c.body, campaign_versions.c.digest)
            .join(
                campaign_versions,
                (campaign_versions.c.campaign_id == campaigns.c.id)
                & (campaign_versions.c.version == campaigns.c.version),
            )
            .where(where)
        )
        row = self.connection.execute(query).one_or_none()
        if row is None:
            return None
        return StoredCampaign(
            id=row.id,
            state=row.state,
            version=row.version,
            digest=row.digest,
            judged_version=row.judged_version,
            judge_cursor=row.judge_cursor,
            campaign=_content(row.body),
        )

    def create(self, campaign: Campaign, state: str, now: datetime) -> int:
        """Add a campaign at version 1; gives its key."""
        values = {
            "name": campaign.name,
            "state": state,
            "version": 1,
            "judged_version": 1,
            "judge_cursor": 0,
            "created_at": now,
            "updated_at": now,
        }
        key = int(self.connection.execute(insert(campaigns).values(values).returning(campaigns.c.id)).scalar_one())
        self._add_version(key, 1, campaign, now)
        return key

    def revise(self, key: int, version: int, campaign: Campaign, now: datetime) -> None:
        """Make this content the given version, from which judging starts anew."""
        self._add_version(key, version, campaign, now)
        self.set(key, now, version=version, judge_cursor=0)

    def judged(self, key: int, version: int, now: datetime, *, upto: int | None) -> bool:
        """Note up to which prospect a pass of judging has come, None for its end; False where its version is not the present one."""
        reached = {"judge_cursor": upto} if upto is not None else {"judge_cursor": 0, "judged_version": version}
        mine = update(campaigns).where(campaigns.c.id == key, campaigns.c.version == version)
        return self.connection.execute(mine.values(**reached, updated_at=now)).rowcount == 1

    def _add_version(self, key: int, version: int, campaign: Campaign, now: datetime) -> None:
        values = {
            "campaign_id": key,
            "version": version,
            "digest": campaign.digest(),
            "body": campaign.as_json(),
            "applied_at": now,
        }
        self.connection.execute(insert(campaign_versions).values(values))

    def set(self, key: int, now: datetime, **values: Any) -> None:
        """Set columns of one campaign."""
        self.connection.execute(update(campaigns).where(campaigns.c.id == key).values(**values, updated_at=now))


class Controls:
    """Rows of `controls`: small named values, the stop switch among them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def get(self, name: str) -> str | None:
        """The value, or None."""
        return self.connection.execute(select(controls.c.value).where(controls.c.name == name)).scalar_one_or_none()

    def put(self, name: str, value: str, now: datetime) -> None:
        """Set the value."""
        statement = upsert(self.connection, controls).values(name=name, value=value, at=now)
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": value, "at": now})
        )

    def drop(self, name: str) -> bool:
        """Remove the value; False where there was none."""
        return bool(self.connection.execute(delete(controls).where(controls.c.name == name)).rowcount)


class Mailboxes:
    """Rows of `mailboxes`: the state of each sending identity across campaigns."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def know(self, address: str, now: datetime) -> None:
        """Add the mailbox if it is new."""
        statement = upsert(self.connection, mailboxes).values(address=address, state="ready", updated_at=now)
        self.connection.execute(statement.on_conflict_do_nothing())

    def state(self, address: str, *, lock: bool = False) -> dict[str, Any] | None:
        """`state`, `error`, `retry_at`; with `lock`, no other sender counts this mailbox's cap until the transaction ends."""
        query = select(mailboxes).where(mailboxes.c.address == address)
        if lock:
            query = query.with_for_update()  # nothing on SQLite, where a transaction is the only writer anyway
        row = self.connection.execute(query).mappings().one_or_none()
        return dict(row) if row else None

    def ready(self, address: str, now: datetime) -> None:
        """The mailbox works; where that is known, nothing is written."""
        self.connection.execute(READY, {"key": address, "updated_at": now})

    def failing(self, address: str, error: str, retry_at: datetime, now: datetime) -> None:
        """The mailbox cannot take mail until `retry_at` at least."""
        values = {"state": "error", "error": error, "retry_at": retry_at, "updated_at": now}
        self.connection.execute(update(mailboxes).where(mailboxes.c.address == address).values(values))
