"""The tables as SQLAlchemy sees them; how they came to be is in migrations/."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
# The content and the settings key of a statement that is made once, given when it is asked.
ITS_PRINT = sa.bindparam("its_print", type_=sa.String)
ITS_KEY = sa.bindparam("its_key", type_=sa.String)


class Words(sa.TypeDecorator[str]):
    """Text for a person. What of a file name is no UTF-8 is written as an escape: such a name in an
    error's words had ended the run that was to record it.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and value.encode("utf-8", "backslashreplace").decode()


videos = sa.Table(
    "videos",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("probe", sa.JSON),
)
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("started_at", sa.String(32)),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("input_dir", sa.LargeBinary),
    sa.Column("command", Words),
    sa.Column("settings", sa.JSON),
    sa.Column("kind", sa.String(16)),
    sa.Column("worker", sa.String(64)),
    sa.Column("files", sa.Integer),  # that it is to come to; null: not known
)
findings = sa.Table(
    "findings",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("file", sa.LargeBinary, primary_key=True),
    sa.Column("why", Words),
    sa.Column("night", sa.String(32)),
    sa.Column("told", sa.Boolean),
)
run_files = sa.Table(
    "run_files",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("file", sa.LargeBinary, primary_key=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("settings_key", sa.String(64)),
    sa.Column("status", sa.String(16)),
    sa.Column("reason", Words),
    sa.Column("hint", Words),
)
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("settings_key", sa.String(64)),
    sa.Column("path", sa.LargeBinary),
    sa.Column("status", sa.String(16)),
    sa.Column("attempts", sa.Integer),
    sa.Column("worker", sa.String(64)),
    sa.Column("lease_until", sa.Float),
    sa.Column("retry_at", sa.Float),
    sa.Column("reason", Words),
    sa.Column("hint", Words),
)
# What is where: one row a file of a watched or audited folder, so that what has not been touched
# need not be read again, and so that a night can be compared with the one before.
files = sa.Table(
    "files",
    metadata,
    sa.Column("folder", sa.LargeBinary, primary_key=True),
    sa.Column("file", sa.LargeBinary, primary_key=True),
    sa.Column("stamp", sa.String(120)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("settings_key", sa.String(64)),
    sa.Column("previous_fingerprint", sa.String(64)),
    sa.Column("content_hash", sa.String(64)),
    sa.Column("hashed_at", sa.Float),
    sa.Column("problem", Words),
    sa.Column("missing_since", sa.Float),
    sa.Column("moved_to", sa.LargeBinary),
    sa.Column("mounted", sa.Boolean),
    sa.Column("audited_stamp", sa.String(120)),
    sa.Column("audited_fingerprint", sa.String(64)),
    sa.Column("audited_previous_fingerprint", sa.String(64)),
    sa.Column("audited_settings_key", sa.String(64)),
    sa.Column("audited_missing", sa.Boolean),
)
analyses = sa.Table(
    "analyses",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("settings_key", sa.String(64)),
    sa.Column("aqs", sa.Float),
    sa.Column("provenance", sa.JSON),
    sa.Column("processing_time_s", sa.Float),
    sa.Column("warnings", sa.JSON),
    sa.Column("created_at", sa.String(32)),
    sa.Column("thresholds", sa.JSON),
)
sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("analysis_id", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("t_s", sa.Float),
    sa.Column("scene", sa.Integer),
    sa.Column("aqs", sa.Float),
    sa.Column("quality", sa.Float),
    sa.Column("artifact_component", sa.Float),
    sa.Column("tiles", sa.LargeBinary),
    sa.Column("thumbnail", sa.LargeBinary),
)
rungs = sa.Table(
    "rungs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("rung_key", sa.String(64)),
    sa.Column("crf", sa.Float),
    sa.Column("rung", sa.JSON),
    sa.Column("output_fingerprint", sa.String(64)),
    sa.Column("created_at", sa.String(32)),
)
rung_frames = sa.Table(
    "rung_frames",
    metadata,
    sa.Column("rung_id", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("t_s", sa.Float),
    sa.Column("vmaf", sa.Float),
    sa.Column("picture", sa.LargeBinary),
)


def of_content(
    table: sa.Table,
    fingerprint: str | sa.BindParameter[str],
    key: str | sa.BindParameter[str],
) -> sa.ColumnElement[bool]:
    """The row of one content under one settings key, of jobs or analyses."""
    return (table.c.fingerprint == fingerprint) & (table.c.settings_key == key)


# Made once: for a report or a night over thousands of known files, to make statements anew for each
# had taken as long as to ask them.
ITS_AQS = sa.select(analyses.c.aqs).where(of_content(analyses, ITS_PRINT, ITS_KEY))
