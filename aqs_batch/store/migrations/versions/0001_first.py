"""The first tables: videos, runs, the files of a run, jobs, analyses and sequences."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "videos",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("probe", sa.JSON, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32), nullable=False, server_default=""),
        sa.Column("input_dir", sa.LargeBinary, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
    )
    op.create_table(
        "run_files",
        sa.Column(
            "run_id", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("file", sa.LargeBinary, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
        sa.Column("settings_key", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("settings_key", sa.String(64), nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.String(64), nullable=False, server_default=""),
        sa.Column("lease_until", sa.Float, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("hint", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("fingerprint", "settings_key"),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "lease_until"])
    op.create_table(
        "analyses",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "fingerprint", sa.String(64), sa.ForeignKey("videos.fingerprint"), nullable=False
        ),
        sa.Column("settings_key", sa.String(64), nullable=False),
        sa.Column("aqs", sa.Float, nullable=False),
        sa.Column("provenance", sa.JSON, nullable=False),
        sa.Column("processing_time_s", sa.Float, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.UniqueConstraint("fingerprint", "settings_key"),
    )
    op.create_table(
        "sequences",
        sa.Column(
            "analysis_id",
            sa.Integer,
            sa.ForeignKey("analyses.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("t_s", sa.Float, nullable=False),
        sa.Column("scene", sa.Integer, nullable=False),
        sa.Column("aqs", sa.Float, nullable=False),
        sa.Column("quality", sa.Float, nullable=False),
        sa.Column("artifact_component", sa.Float, nullable=False),
        sa.Column("tiles", sa.LargeBinary, nullable=False),
        sa.Column("thumbnail", sa.LargeBinary),
    )
