"""Work that runs by itself: schedules, runs with their batches, workers, alerts, and totals of runs that are gone."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from touchline.adapters.store.tables import Instant, Key

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    """Create them; runs get new columns, and what is there of them is kept."""
    kept = _taken_out("SELECT * FROM runs ORDER BY id")
    op.drop_index(op.f("ix_runs_campaign_id_started_at"), table_name="runs")
    op.drop_table("runs")
    _create_runs()
    op.create_table(
        "schedules",
        sa.Column("id", Key, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("campaign_id", Key, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("timing", sa.Text(), nullable=False),
        sa.Column("last_slot", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_table(
        "batches",
        sa.Column("run_id", Key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_batches")),
    )
    op.create_table(
        "run_totals",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("campaign_id", Key, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "job", "campaign_id", "state", name=op.f("pk_run_totals")),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("beat_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.create_table(
        "alerts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("told_at", Instant(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("recovery_told_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alerts")),
    )
    _put_back(kept, lambda row: row | {"job": "run", "late": 0, "takeovers": 0, "queued_at": row["started_at"]})


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", Key, nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("campaign_id", Key, nullable=True),
        sa.Column("campaign_version", sa.Integer(), nullable=True),
        sa.Column("schedule_id", Key, nullable=True),
        sa.Column("slot", sa.Text(), nullable=True),
        sa.Column("until", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("cancel", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("queued_at", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("stop_at", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("schedule_id", "slot", name=op.f("uq_runs_schedule_id_slot")),
    )
    op.create_index(op.f("ix_runs_campaign_id_queued_at"), "runs", ["campaign_id", "queued_at"])
    op.create_index(op.f("ix_runs_queued_at"), "runs", ["queued_at"])
    op.create_index("ix_runs_open", "runs", ["campaign_id"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    """Remove them; runs of campaigns that have started are kept."""
    kept = _taken_out("SELECT * FROM runs WHERE campaign_id IS NOT NULL AND started_at IS NOT NULL ORDER BY id")
    for table in ("alerts", "workers", "run_totals", "batches", "schedules", "runs"):
        op.drop_table(table)
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
    op.create_index(op.f("ix_runs_campaign_id_started_at"), "runs", ["campaign_id", "started_at"])
    _put_back(kept, lambda row: row | {"until": row["until"] or "send"})


def _taken_out(query: str) -> list[dict[str, Any]]:
    """Rows of a table that is made anew: there are few runs."""
    return [dict(row) for row in op.get_bind().execute(sa.text(query)).mappings()]


def _put_back(rows: list[dict[str, Any]], changed: Any) -> None:
    bind = op.get_bind()
    names = [column["name"] for column in sa.inspect(bind).get_columns("runs")]
    columns, values = ", ".join(f'"{name}"' for name in names), ", ".join(f":{name}" for name in names)
    for row in rows:
        whole = changed(row)
        # Column names are the table's own; values never stand in the text.
        bind.execute(sa.text(f"INSERT INTO runs ({columns}) VALUES ({values})"), {n: whole.get(n) for n in names})  # noqa: S608
    if rows and bind.dialect.name == "postgresql":
        bind.execute(sa.text("SELECT setval('runs_id_seq', (SELECT max(id) FROM runs))"))
