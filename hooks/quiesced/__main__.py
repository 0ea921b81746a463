"""``python -m quiesced``: the same as the command ``quiesced``."""

from __future__ import annotations

import sys

from quiesced.cli import main

if __name__ == "__main__":
    sys.exit(main())
