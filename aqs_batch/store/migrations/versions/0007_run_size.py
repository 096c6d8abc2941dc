"""How many files a run is to come to: a night that was cut off had looked complete."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("runs", sa.Column("files", sa.Integer))
