"""The lab's one error."""

from __future__ import annotations


class LabError(Exception):
    """The machine cannot do what the lab needs; the message says what to install or allow."""
