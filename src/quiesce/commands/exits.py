"""Exit statuses of the command, one meaning each (docs/reference/exit-status.md is made from this)."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """A status, with what it means."""

    OK = 0, "all is well; of a run: the level asked for was reached"
    NOT_WELL = 1, "something is not well, and the output says what"
    USAGE = 2, "wrong usage: an option or argument that there is not"
    WEAKER = 3, "a run is weaker than asked for, or not all of it is there"
    UNUSABLE = 4, "a key, file or setting cannot be used; nothing was asked for"
    REFUSED = 5, "the cloud or the function refused, or did not answer"
    UNFINISHED = 6, "not finished in the time given"
    UNCONFIRMED = 20, "a release could not be confirmed: look at the instance now"
    INTERRUPTED = 130, "interrupted from the keyboard"

    meaning: str

    def __new__(cls, status: int, meaning: str) -> Exit:
        """Make a member that is its number."""
        member = int.__new__(cls, status)
        member._value_ = status
        member.meaning = meaning
        return member
