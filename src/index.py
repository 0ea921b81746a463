"""Entry of the function in SCF: ``index.main_handler``. Everything else is in the package ``quiesce``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from quiesce.invocation import handle


def main_handler(event: object, context: Mapping[str, object]) -> object:
    """Run what the event asks for; raises RequestError and its kin for events that are not HTTP (quiesce.errors)."""
    return handle(event, context, os.environ, sys.stdout)
