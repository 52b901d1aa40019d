"""The first tables: campaigns, leads, prospects, touches and what stands around them."""

import sqlalchemy as sa
from alembic import op

from touchline.adapters.store.tables import Instant, Key

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "campaign_versions",
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("applied_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "version", name=op.f("pk_campaign_versions")),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", Key, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("judged_version", sa.Integer(), nullable=False),
        sa.Column("judge_cursor", Key, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("name", name=op.f("uq_campaigns_name")),
    )
    op.create_table(
        "controls",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_controls")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", Key, nullable=False),
        sa.Column("touch_id", Key, nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_mailbox_started_at"), "deliveries", ["mailbox", "started_at"], unique=False)
    op.create_index(op.f("ix_deliveries_touch_id"), "deliveries", ["touch_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("lead_id", Key, nullable=False),
        sa.Column("prospect_id", Key, nullable=True),
        sa.Column("touch_id", Key, nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_lead_id"), "events", ["lead_id"], unique=False)
    op.create_index(
        "ix_events_replied",
        "events",
        ["account"],
        unique=False,
        sqlite_where=sa.text("kind = 'replied'"),
        postgresql_where=sa.text("kind = 'replied'"),
    )
    op.create_table(
        "import_rows",
        sa.Column("import_id", Key, nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("import_id", "row", name=op.f("pk_import_rows")),
    )
    op.create_table(
        "imports",
        sa.Column("id", Key, nullable=False),
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("new", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("suppressed", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_campaign_id_fingerprint"), "imports", ["campaign_id", "fingerprint"], unique=False)
    op.create_table(
        "leads",
        sa.Column("id", Key, nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("base_address", sa.Text(), nullable=True),
        sa.Column("email_domain", sa.Text(), nullable=True),
        sa.Column("profile_url", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("first_name_folded", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("last_name_folded", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("title_folded", sa.Text(), nullable=True),
        sa.Column("seniority", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column("company_folded", sa.Text(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("employees", sa.BigInteger(), nullable=True),
        sa.Column("tech", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("region_folded", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("city_folded", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("budget", sa.Float(), nullable=True),
        sa.Column("timeline_months", sa.BigInteger(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("import_id", Key, nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leads")),
        sa.UniqueConstraint("identity", name=op.f("uq_leads_identity")),
    )
    op.create_index(
        "ix_leads_profile_url",
        "leads",
        ["profile_url"],
        unique=False,
        sqlite_where=sa.text("profile_url IS NOT NULL"),
        postgresql_where=sa.text("profile_url IS NOT NULL"),
    )
    op.create_table(
        "mailboxes",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("retry_at", Instant(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_mailboxes")),
    )
    op.create_table(
        "mx_answers",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("checked_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_mx_answers")),
    )
    op.create_table(
        "prospects",
        sa.Column("id", Key, nullable=False),
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("lead_id", Key, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("recheck_at", Instant(), nullable=True),
        sa.Column("campaign_version", sa.Integer(), nullable=True),
        sa.Column("fit", sa.BigInteger(), nullable=True),
        sa.Column("opportunity", sa.BigInteger(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("score_parts", sa.Text(), nullable=True),
        sa.Column("address_status", sa.Text(), nullable=True),
        sa.Column("address_reasons", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("verdict_reason", sa.Text(), nullable=True),
        sa.Column("sequence", sa.Text(), nullable=True),
        sa.Column("route_reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prospects")),
        sa.UniqueConstraint("lead_id", "campaign_id", name=op.f("uq_prospects_lead_id_campaign_id")),
    )
    op.create_index(
        "ix_prospects_pending",
        "prospects",
        ["campaign_id", "id"],
        unique=False,
        sqlite_where=sa.text("pending = 1"),
        postgresql_where=sa.text("pending = 1"),
    )
    op.create_index(
        "ix_prospects_recheck",
        "prospects",
        ["campaign_id", "recheck_at"],
        unique=False,
        sqlite_where=sa.text("recheck_at IS NOT NULL"),
        postgresql_where=sa.text("recheck_at IS NOT NULL"),
    )
    op.create_table(
        "runs",
        sa.Column("id", Key, nullable=False),
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_campaign_id_started_at"), "runs", ["campaign_id", "started_at"], unique=False)
    op.create_table(
        "senders",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("beat_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_senders")),
    )
    op.create_table(
        "suppressions",
        sa.Column("id", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint("kind", "value", name=op.f("uq_suppressions_kind_value")),
    )
    op.create_table(
        "touches",
        sa.Column("id", Key, nullable=False),
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("prospect_id", Key, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_touches")),
        sa.UniqueConstraint("prospect_id", "step", name=op.f("uq_touches_prospect_id_step")),
    )
    op.create_index(
        "ix_touches_unsettled",
        "touches",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('drafted', 'claimed', 'sending', 'uncertain')"),
        postgresql_where=sa.text("state IN ('drafted', 'claimed', 'sending', 'uncertain')"),
    )
    op.create_index(
        "ix_touches_first",
        "touches",
        ["campaign_id", "mailbox", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'planned' AND step = 1"),
        postgresql_where=sa.text("state = 'planned' AND step = 1"),
    )
    op.create_index(
        "ix_touches_follow_up",
        "touches",
        ["campaign_id", "mailbox", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'planned' AND step > 1"),
        postgresql_where=sa.text("state = 'planned' AND step > 1"),
    )


def downgrade() -> None:
    """Remove them and everything in them."""
    op.drop_index(
        "ix_touches_first",
        table_name="touches",
        sqlite_where=sa.text("state = 'planned' AND step = 1"),
        postgresql_where=sa.text("state = 'planned' AND step = 1"),
    )
    op.drop_index(
        "ix_touches_follow_up",
        table_name="touches",
        sqlite_where=sa.text("state = 'planned' AND step > 1"),
        postgresql_where=sa.text("state = 'planned' AND step > 1"),
    )
    op.drop_index(
        "ix_touches_unsettled",
        table_name="touches",
        sqlite_where=sa.text("state IN ('drafted', 'claimed', 'sending', 'uncertain')"),
        postgresql_where=sa.text("state IN ('drafted', 'claimed', 'sending', 'uncertain')"),
    )
    op.drop_table("touches")
    op.drop_table("suppressions")
    op.drop_table("senders")
    op.drop_index(op.f("ix_runs_campaign_id_started_at"), table_name="runs")
    op.drop_table("runs")
    op.drop_index(
        "ix_prospects_recheck",
        table_name="prospects",
        sqlite_where=sa.text("recheck_at IS NOT NULL"),
        postgresql_where=sa.text("recheck_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_prospects_pending",
        table_name="prospects",
        sqlite_where=sa.text("pending = 1"),
        postgresql_where=sa.text("pending = 1"),
    )
    op.drop_table("prospects")
    op.drop_table("mx_answers")
    op.drop_table("mailboxes")
    op.drop_index(
        "ix_leads_profile_url",
        table_name="leads",
        sqlite_where=sa.text("profile_url IS NOT NULL"),
        postgresql_where=sa.text("profile_url IS NOT NULL"),
    )
    op.drop_table("leads")
    op.drop_index(op.f("ix_imports_campaign_id_fingerprint"), table_name="imports")
    op.drop_table("imports")
    op.drop_table("import_rows")
    op.drop_index(
        "ix_events_replied",
        table_name="events",
        sqlite_where=sa.text("kind = 'replied'"),
        postgresql_where=sa.text("kind = 'replied'"),
    )
    op.drop_index(op.f("ix_events_lead_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_deliveries_touch_id"), table_name="deliveries")
    op.drop_index(op.f("ix_deliveries_mailbox_started_at"), table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_table("controls")
    op.drop_table("campaigns")
    op.drop_table("campaign_versions")
