"""What audits have told of each file, which is not what a service on the same folder has seen."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXTS = {"stamp": 120, "fingerprint": 64, "previous_fingerprint": 64, "settings_key": 64}


def upgrade() -> None:
    for name, length in _TEXTS.items():
        column = sa.Column(f"audited_{name}", sa.String(length), nullable=False, server_default="")
        op.add_column("files", column)
    op.add_column(
        "files",
        sa.Column("audited_missing", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    _seed()


def _seed() -> None:
    """Take all that is known of a folder that was ever audited as told: who saw a file first was
    not kept, and a whole archive must not be new once more. Only audits read files to the end,
    which tells of those whose runs have been pruned.
    """
    runs = sa.table("runs", sa.column("kind"), sa.column("input_dir"))
    names = (*_TEXTS, "folder", "content_hash", "missing_since", "audited_missing")
    files = sa.table(
        "files",
        *(sa.column(name) for name in (*names, *(f"audited_{name}" for name in _TEXTS))),
        sa.column("moved_to", sa.LargeBinary),
    )
    audits = sa.select(runs.c.input_dir).where(runs.c.kind == "audit")
    read = sa.select(files.c.folder).where(files.c.content_hash != "")
    op.execute(
        sa.update(files)
        .where(files.c.folder.in_(audits) | files.c.folder.in_(read), files.c.moved_to == b"")
        .values(
            {f"audited_{name}": files.c[name] for name in _TEXTS}
            | {"audited_missing": files.c.missing_since > 0}
        )
    )
