"""Every test reads English, whatever the machine speaks; those of MySQL are there when its server is (``make mysql``)."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["QUIESCE_LANGUAGE"] = "en"
collect_ignore = [] if (Path(__file__).parents[1] / "build" / "mysql" / "usr" / "sbin" / "mysqld").exists() else ["mysql"]
