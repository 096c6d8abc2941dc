"""What is where (files), the kind of a run, and when a job may be tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("kind", sa.String(16), nullable=False, server_default="run"))
    op.add_column("jobs", sa.Column("retry_at", sa.Float, nullable=False, server_default="0"))
    op.create_table(
        "files",
        sa.Column("folder", sa.LargeBinary, primary_key=True),
        sa.Column("file", sa.LargeBinary, primary_key=True),
        sa.Column("stamp", sa.String(120), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
        sa.Column("settings_key", sa.String(64), nullable=False, server_default=""),
        sa.Column("previous_fingerprint", sa.String(64), nullable=False, server_default=""),
        sa.Column("content_hash", sa.String(64), nullable=False, server_default=""),
        sa.Column("hashed_at", sa.Float, nullable=False, server_default="0"),
        sa.Column("problem", sa.Text, nullable=False, server_default=""),
        sa.Column("missing_since", sa.Float, nullable=False, server_default="0"),
        sa.Column("moved_to", sa.LargeBinary, nullable=False, server_default=""),
        sa.Column("mounted", sa.Boolean, nullable=False, server_default=sa.false()),
    )
