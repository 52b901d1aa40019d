"""Numbers of runs and schedules that never come back on SQLite, and what a run by itself is to do."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBERED = ("runs", "schedules")


def upgrade() -> None:
    """Add the column, and build the tables anew where their keys may come back (SQLite, https://sqlite.org/autoinc.html)."""
    op.add_column("runs", sa.Column("payload", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for table in NUMBERED:
            with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
                pass
        # The tally knows of runs that are gone already.
        op.execute("""
            INSERT INTO runs (id, job, state, late, takeovers, counts, queued_at)
            SELECT json_extract(value, '$.runs_upto'), '', '', 0, 0, '', '' FROM controls
            WHERE name = 'tally' AND json_extract(value, '$.runs_upto') > (SELECT coalesce(max(id), 0) FROM runs)
        """)
        op.execute("DELETE FROM runs WHERE job = ''")


def downgrade() -> None:
    """Take them away."""
    if op.get_bind().dialect.name == "sqlite":
        for table in NUMBERED:
            with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": False}):
                pass
    op.drop_column("runs", "payload")
