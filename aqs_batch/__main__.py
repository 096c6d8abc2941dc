"""`python -m aqs_batch` is `aqs-batch`."""

from aqs_batch.cli import main

main()
