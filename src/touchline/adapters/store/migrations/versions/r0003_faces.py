"""Schedules that people add (a first stage, a priority), and what the API and the pages need."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables."""
    op.add_column("schedules", sa.Column("priority", sa.Integer(), server_default="10", nullable=False))
    op.add_column("runs", sa.Column("first", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("priority", sa.Integer(), server_default="10", nullable=False))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("runs", "priority")
    op.drop_column("runs", "first")
    op.drop_column("schedules", "priority")
