"""By what probabilities each result names its artifacts: those of the checkpoint that made it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("analyses", sa.Column("thresholds", sa.JSON))
