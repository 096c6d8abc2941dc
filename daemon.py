"""`python daemon.py --config aqs.toml`: the watch folder's service, for systemd, launchd or cron.

Takes the flags of `aqs-batch watch`, and is the same.
"""

from __future__ import annotations

import sys

from aqs_batch.cli import main

if __name__ == "__main__":
    if sys.argv[1:2] != ["watch"]:  # its errors say "Try 'daemon.py watch --help'"
        sys.argv[1:1] = ["watch"]
    main()
