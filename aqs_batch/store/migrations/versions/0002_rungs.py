"""Encodes: one row a rung, its worst frames, and what its kept file is known by."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "rungs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
        sa.Column("rung_key", sa.String(64), nullable=False, unique=True),
        sa.Column("crf", sa.Float, nullable=False),
        sa.Column("rung", sa.JSON, nullable=False),
        sa.Column("output_fingerprint", sa.String(64), nullable=False, server_default=""),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_index("rungs_by_output", "rungs", ["output_fingerprint"])
    op.create_table(
        "rung_frames",
        sa.Column(
            "rung_id", sa.Integer, sa.ForeignKey("rungs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("t_s", sa.Float, nullable=False),
        sa.Column("vmaf", sa.Float, nullable=False),
        sa.Column("picture", sa.LargeBinary, nullable=False),
    )
