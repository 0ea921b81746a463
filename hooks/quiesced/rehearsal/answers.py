"""Reading an answer to ``check`` back into its message."""

from __future__ import annotations

from typing import Any

from quiesced.messages import Application, CheckAnswer, Filesystem, Refusal, WrittenPath


def check_answer(read: dict[str, Any]) -> CheckAnswer:
    """Read the answer of a daemon of this release."""
    return CheckAnswer(
        **{
            **read,
            "refusals": tuple(Refusal(**refusal) for refusal in read["refusals"]),
            "applications": tuple(_application(application) for application in read["applications"]),
            "filesystems": tuple(Filesystem(**filesystem) for filesystem in read["filesystems"]),
        }
    )


def _application(read: dict[str, Any]) -> Application:
    return Application(**{**read, "paths": tuple(WrittenPath(**path) for path in read["paths"])})
