"""When an import last stored a batch, so that a killed one does not look as if it went on; and the batches that wait for a retry."""

import sqlalchemy as sa
from alembic import op

from touchline.adapters.store.tables import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ASIDE = sa.text("state = 'set_aside'")


def upgrade() -> None:
    """Add the column, which holds the last time that is known of imports that are there, and the index."""
    op.add_column("imports", sa.Column("moved_at", Instant(), nullable=True))
    op.execute("UPDATE imports SET moved_at = coalesce(finished_at, started_at)")
    op.create_index("ix_batches_set_aside", "batches", ["run_id", "number"], sqlite_where=ASIDE, postgresql_where=ASIDE)


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_batches_set_aside", "batches")
    op.drop_column("imports", "moved_at")
