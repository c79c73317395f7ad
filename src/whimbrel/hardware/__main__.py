"""The sidecar without the rest of Whimbrel: `python -m whimbrel_recorder.hardware --home DIR --every 10`."""

from __future__ import annotations

import argparse
import sys

from whimbrel.errors import WhimbrelError
from whimbrel.hardware.sidecar import watch
from whimbrel.settings import Settings


def main() -> int:
    """Look until told to end."""
    parser = argparse.ArgumentParser(description="Watch what the apps run on, beside them.")
    parser.add_argument("--home", help="the log's folder (else $WHIMBREL_HOME, else ./.whimbrel)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks (10)")
    asked = parser.parse_args()
    try:
        watch(Settings.load(home=asked.home).home.absolute(), every_s=max(0.1, asked.every))
    except WhimbrelError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
