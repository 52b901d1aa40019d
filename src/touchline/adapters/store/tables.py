"""The tables that the words of Touchline need, declared once for SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from touchline.model.columns import DECISIONS, LEAD, Kind
from touchline.model.columns import Column as Declared
from touchline.model.rules.printers import instant_text

# No foreign keys on the tables that grow with the leads: PostgreSQL checks each with a query per row, which costs a
# bulk load more than the rows themselves. One transaction per batch keeps them whole, and a contract test looks.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A UTC instant: timestamptz on PostgreSQL, fixed-width ISO 8601 text on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """The type that the database has for it."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Aware datetime in; a naive one is a defect and raises."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("instants carry a zone")
        return value if dialect.name == "postgresql" else instant_text(value.astimezone(UTC))

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware UTC datetime out."""
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else datetime.fromisoformat(value)


Key = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit key; on SQLite it must be spelled INTEGER to be the row id."""

TYPES: dict[Kind, Any] = {
    Kind.TEXT: Text(),
    Kind.CODE: Text(),
    Kind.TAGS: Text(),
    Kind.OPAQUE: Text(),
    Kind.NUMBER: BigInteger(),
    Kind.AMOUNT: Float(),
    Kind.INSTANT: Instant(),
}


def _declared(columns: tuple[Declared, ...]) -> list[Column[Any]]:
    made: list[Column[Any]] = []
    for column in columns:
        made.append(Column(column.name, TYPES[column.kind]))
        if column.kind is Kind.TEXT:
            made.append(Column(column.compared, Text()))
    return made


def _partial(name: str, condition: ColumnElement[bool], *columns: Column[Any]) -> ColumnElement[bool]:
    """An index of the rows that meet a condition; gives the condition, which a query repeats so that the index may serve it."""
    Index(name, *columns, sqlite_where=condition, postgresql_where=condition)
    return condition


controls = Table(
    "controls",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),  # draft | active | paused
    Column("version", Integer, nullable=False),
    Column("judged_version", Integer, nullable=False),  # every prospect has been judged by this version
    Column("judge_cursor", Key, nullable=False),  # last prospect judged in the pass towards `version`
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

campaign_versions = Table(
    "campaign_versions",
    metadata,
    Column("campaign_id", Key, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
)

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("address", Text, primary_key=True),
    Column("state", Text, nullable=False),  # ready | error
    Column("error", Text),
    Column("retry_at", Instant),
    Column("updated_at", Instant, nullable=False),
)

imports = Table(
    "imports",
    metadata,
    Column("id", Key, primary_key=True),
    Column("campaign_id", Key, nullable=False),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # running | done | failed
    Column("offset", BigInteger, nullable=False),  # where in the source the next batch starts
    Column("rows", BigInteger, nullable=False),
    Column("new", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("suppressed", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("error", Text),
    Column("started_at", Instant, nullable=False),
    Column("moved_at", Instant),  # when it last stored a batch
    Column("finished_at", Instant),
    Index(None, "campaign_id", "fingerprint"),
)

import_rows = Table(
    "import_rows",
    metadata,
    Column("import_id", Key, primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("outcome", Text, nullable=False),  # duplicate | suppressed | rejected: new and updated rows are leads
    Column("reason", Text),
    Column("identity", Text),
    Column("raw", Text),
)

leads = Table(
    "leads",
    metadata,
    Column("id", Key, primary_key=True),
    Column("identity", Text, nullable=False, unique=True),
    *_declared(LEAD),
    Column("import_id", Key),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

HAS_PROFILE = _partial("ix_leads_profile_url", leads.c.profile_url.is_not(None), leads.c.profile_url)

prospects = Table(
    "prospects",
    metadata,
    Column("id", Key, primary_key=True),
    Column("campaign_id", Key, nullable=False),
    Column("lead_id", Key, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("pending", Integer, nullable=False),  # 1 while stages have work to do
    Column("recheck_at", Instant),
    Column("campaign_version", Integer),
    *_declared(DECISIONS),
    Column("decided_by", Text),  # a person's name where a person gave the verdict
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("lead_id", "campaign_id"),
)

# Literals, not parameters: a planner may use a partial index only where it can see that its condition holds.
PENDING = _partial(
    "ix_prospects_pending", prospects.c.pending == literal_column("1"), prospects.c.campaign_id, prospects.c.id
)
RECHECKED = _partial(
    "ix_prospects_recheck", prospects.c.recheck_at.is_not(None), prospects.c.campaign_id, prospects.c.recheck_at
)

# A campaign's prospects by lead, and by tier and fit. Filled at a few hundred places: opportunity in it too, at thousands,
# would cost an import three times as much. Not by `id`, or SQLite would take the first for the pages of who has work to do.
Index("ix_prospects_campaign_id", prospects.c.campaign_id, prospects.c.lead_id)
Index(
    "ix_prospects_score",
    prospects.c.campaign_id,
    prospects.c.tier,
    prospects.c.fit,
    prospects.c.lead_id,
)

touches = Table(
    "touches",
    metadata,
    Column("id", Key, primary_key=True),
    Column("campaign_id", Key, nullable=False),
    Column("prospect_id", Key, nullable=False),
    Column("step", Integer, nullable=False),
    Column("sequence", Text, nullable=False),
    Column("variant", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("due_at", Instant, nullable=False),
    Column("mailbox", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("subject", Text),
    Column("text", Text),
    Column("html", Text),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Text),
    Column("approved_by", Text),
    Column("sent_at", Instant),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("prospect_id", "step"),
)

# A touch stands in at most one of these three, so that a million planned ones cost one small index each.
FIRST = _partial(
    "ix_touches_first",
    (touches.c.state == literal_column("'planned'")) & (touches.c.step == literal_column("1")),
    touches.c.campaign_id,
    touches.c.mailbox,
    touches.c.due_at,
)
FOLLOW_UP = _partial(
    "ix_touches_follow_up",
    (touches.c.state == literal_column("'planned'")) & (touches.c.step > literal_column("1")),
    touches.c.campaign_id,
    touches.c.mailbox,
    touches.c.due_at,
)
UNSETTLED_STATES = ("drafted", "claimed", "sending", "uncertain")
UNSETTLED = _partial(
    "ix_touches_unsettled",
    touches.c.state.in_([literal_column(f"'{state}'") for state in UNSETTLED_STATES]),
    touches.c.state,
    touches.c.id,
)
# Beside the index of all that is unsettled: of many drafts, those of one campaign without a walk through the others'.
DRAFTED = _partial(
    "ix_touches_drafted", touches.c.state == literal_column("'drafted'"), touches.c.campaign_id, touches.c.id
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("touch_id", Key, nullable=False, index=True),
    Column("mailbox", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("result", Text, nullable=False),  # open | sent | deferred | failed | uncertain
    Column("code", Integer),
    Column("answer", Text),
    Index(None, "mailbox", "started_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("lead_id", Key, nullable=False, index=True),
    Column("prospect_id", Key),
    Column("touch_id", Key),
    Column("account", Text),
    Column("detail", Text),
    # The time first: by the kind first, SQLite would find who replied here rather than by their accounts.
    Index(None, "at", "kind"),
)

BOUNCED = _partial("ix_events_bounced", events.c.kind == literal_column("'bounced'"), events.c.touch_id)
REPLIED = _partial("ix_events_replied", events.c.kind == literal_column("'replied'"), events.c.account)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", Text, nullable=False),  # address | domain | account
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("kind", "value"),
)

mx_answers = Table(
    "mx_answers",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("answer", Text, nullable=False),
    Column("checked_at", Instant, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("job", Text, nullable=False),  # what a slot starts: see app.schedules
    Column("campaign_id", Key),
    Column("state", Text, nullable=False),  # active | paused
    Column("timing", Text, nullable=False),  # JSON: see app.schedules
    Column("priority", Integer, nullable=False, server_default="10"),  # of its runs; the lowest number goes first
    Column("last_slot", Text),  # newest time that has been started or found to need nothing; slots only grow
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("id", Key, primary_key=True),
    Column("job", Text, nullable=False),
    Column("campaign_id", Key),
    Column("campaign_version", Integer),
    Column("schedule_id", Key),
    Column("slot", Text),  # which of the schedule's times this run is for; one run a slot
    Column("first", Text),  # first stage; None: harvest
    Column("until", Text),  # last stage
    Column("priority", Integer, nullable=False, server_default="10"),
    Column("state", Text, nullable=False),  # queued | running | done | unfinished | failed | cancelled
    Column("stage", Text),  # where it is, or was when it ended
    Column("late", Integer, nullable=False),  # 1 where it began after its window
    Column("cancel", Text),  # who wants it to end before its next batch
    Column("worker", Text),
    Column("takeovers", Integer, nullable=False),  # how often another worker went on with it
    Column("counts", Text, nullable=False),
    Column("payload", Text),  # JSON: what a run does that no campaign says, and how far it is; see app.bulk
    Column("error", Text),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("stop_at", Instant),  # its window's end: it stops between batches then
    Column("finished_at", Instant),
    UniqueConstraint("schedule_id", "slot"),
    Index(None, "campaign_id", "queued_at"),
    Index(None, "queued_at"),
    sqlite_autoincrement=True,  # a number that history has removed would else come back: engine and tally know it as done
)

OPEN_RUNS = _partial(
    "ix_runs_open", runs.c.state.in_([literal_column("'queued'"), literal_column("'running'")]), runs.c.campaign_id
)
FAILED_RUNS = _partial("ix_runs_failed", runs.c.state == literal_column("'failed'"), runs.c.queued_at)

batches = Table(
    "batches",
    metadata,
    Column("run_id", Key, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("state", Text, nullable=False),  # done | set_aside | released | retried | dismissed
    Column("place", Text),  # JSON: what a batch that was set aside covers
    Column("counts", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("worker", Text),
    Column("finished_at", Instant, nullable=False),
)

SET_ASIDE = _partial(
    "ix_batches_set_aside", batches.c.state == literal_column("'set_aside'"), batches.c.run_id, batches.c.number
)

run_totals = Table(
    "run_totals",
    metadata,
    Column("day", Text, primary_key=True),  # YYYY-MM-DD in UTC
    Column("job", Text, primary_key=True),
    Column("campaign_id", Key, primary_key=True),  # 0 where a job has none
    Column("state", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("counts", Text, nullable=False),
)
"""What is left of runs that retention has removed."""

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),  # host:pid:nonce
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("beat_at", Instant, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("level", Text, nullable=False),  # degraded | failed
    Column("state", Text, nullable=False),  # open | closed
    Column("message", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("told_at", Instant),
    Column("closed_at", Instant),
    Column("recovery_told_at", Instant),
)

senders = Table(
    "senders",
    metadata,
    Column("name", Text, primary_key=True),  # host:pid:nonce
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("beat_at", Instant, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Key, primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # lower case
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),  # owner | operator | reviewer | viewer
    Column("state", Text, nullable=False),  # active | disabled
    Column("password", Text, nullable=False),  # argon2id, with its parameters
    Column("timezone", Text),  # in which this person reads times; None: the browser's
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("seen_at", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),  # SHA-256 of the cookie, so that a copy of the table opens nothing
    Column("user_id", Key, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("agent", Text),
    Index(None, "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),  # shown; finds the row
    Column("digest", Text, nullable=False),  # SHA-256 of the secret, which has 256 bits
    Column("scopes", Text, nullable=False),  # JSON list
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("used_at", Instant),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),  # user:EMAIL, key:PREFIX or shell:NAME
    Column("action", Text, nullable=False),  # such as campaign.pause
    Column("object", Text, nullable=False),  # such as campaign:spring
    Column("result", Text, nullable=False),  # begun | done | failed
    Column("before", Text),  # JSON
    Column("after", Text),  # JSON
    Column("error", Text),
    Column("request_id", Text),
    Index(None, "object", "id"),
    Index(None, "actor", "id"),
)

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True),  # SHA-256 of who asked and the Idempotency-Key
    Column("request", Text, nullable=False),  # SHA-256 of method, path and body
    Column("status", Integer),  # None: still being worked on
    Column("headers", Text),  # JSON
    Column("body", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Index(None, "created_at"),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("subject", Text, primary_key=True),  # address that was tried, or where from
    Column("count", Integer, nullable=False),
    Column("since", Instant, nullable=False),
)

views = Table(
    "views",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("page", Text, nullable=False),  # leads
    Column("query", Text, nullable=False),  # JSON: filter, sort, columns
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
