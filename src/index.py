"""Entry of the function in SCF: ``index.main_handler``. Everything else is in the package ``quiesce``."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping

gc.disable()  # loading throws nothing away: looking for it again and again is a twentieth of a cold start
from quiesce.invocation import handle  # noqa: E402

gc.freeze()
gc.enable()


def main_handler(event: object, context: Mapping[str, object]) -> object:
    """Run what the event asks for; raises RequestError and its kin for events that are not HTTP (quiesce.errors)."""
    return handle(event, context, os.environ, sys.stdout)
