"""One step of a deployment, as a value: what it does in words, and the call that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SCF = ("scf", "2018-04-16")
CAM = ("cam", "2019-01-16")


@dataclass(frozen=True)
class Step:
    """A step. ``detail`` says what differs and holds no secret; ``params`` may.

    ``settles``: the function is busy afterwards, and has to be Active before the next step. ``describes``: the function's
    description is added to the call, made from what SCF says of its code by then (function.description).
    """

    deed: str
    subject: str
    detail: str
    service: tuple[str, str]
    action: str
    params: Mapping[str, object] = field(repr=False)
    settles: bool = False
    describes: bool = False

    @property
    def row(self) -> dict[str, str]:
        """What a person is shown of it."""
        return {"deed": self.deed, "subject": self.subject, "detail": self.detail, "call": self.action}
