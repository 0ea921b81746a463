"""What is kept of a lease that is over: the answer to its release, as text. A thousand of them are remembered, for weeks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from quiesced.messages import ApplicationWitness, Attachment, FilesystemWitness, ReleaseAnswer, Stall, Step, Witness


def text_of(answer: ReleaseAnswer) -> str:
    """Write an answer as JSON."""
    return json.dumps(asdict(answer))


def answer_of(text: str) -> ReleaseAnswer:
    """Read what ``text_of`` has written. Raises ValueError, LookupError or TypeError when it is nothing of the kind."""
    read: dict[str, Any] = json.loads(text)
    witness = _witness(read["witness"]) if read["witness"] else None
    steps = tuple(Step(**step) for step in read["steps"])
    stalls = tuple(Stall(**stall) for stall in read["stalls"])
    attachments = tuple(Attachment(**attachment) for attachment in read["attachments"])
    return ReleaseAnswer(**{**read, "witness": witness, "steps": steps, "stalls": stalls, "attachments": attachments})


def _witness(read: dict[str, Any]) -> Witness:
    return Witness(
        tuple(ApplicationWitness(**application) for application in read["applications"]),
        tuple(FilesystemWitness(**filesystem) for filesystem in read["filesystems"]),
        read["freeze"],
        read["freeze_reason"],
    )
