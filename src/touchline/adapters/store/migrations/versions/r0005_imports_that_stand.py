"""When an import last stored a batch, so that one whose process was killed does not look as if it went on."""

import sqlalchemy as sa
from alembic import op

from touchline.adapters.store.tables import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of imports that are there, it holds the last time that is known."""
    op.add_column("imports", sa.Column("moved_at", Instant(), nullable=True))
    op.execute("UPDATE imports SET moved_at = coalesce(finished_at, started_at)")


def downgrade() -> None:
    """Take it away."""
    op.drop_column("imports", "moved_at")
