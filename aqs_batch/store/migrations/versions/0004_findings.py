"""What every audit night found, and by which process, so that a night that is killed is told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("worker", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "findings",
        sa.Column(
            "run_id", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("file", sa.LargeBinary, primary_key=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("night", sa.String(32), nullable=False),
        sa.Column("told", sa.Boolean, nullable=False, server_default=sa.false()),
    )
