"""Every test reads English, whatever the machine speaks."""

from __future__ import annotations

import os

os.environ["QUIESCE_LANGUAGE"] = "en"
