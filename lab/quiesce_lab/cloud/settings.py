"""The knobs of the lab's cloud."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from quiesce_lab.errors import LabError

Seconds = Annotated[float, msgspec.Meta(ge=0)]
PerSecond = Annotated[int, msgspec.Meta(ge=0)]
CutAt = Literal["start", "middle", "end", "random"]


@dataclasses.dataclass
class Settings:
    """How the cloud behaves. Assign to a field, or use ``change`` for values that came from elsewhere.

    ``cut_at`` says where inside the latency of CreateSnapshot the disk is cloned: Tencent documents no instant, so
    ``random`` is the default (CBS snapshot concept page, SDK).
    """

    latency_s: dict[str, Seconds] = dataclasses.field(
        default_factory=lambda: {"CreateSnapshot": 0.3, "CreateSnapshotGroup": 0.3}
    )
    """Time from a valid request to its answer, by action; 0 where absent."""
    cut_at: CutAt = "random"
    snapshot_seconds: Seconds = 3.0
    """Time from the cut until a snapshot is NORMAL."""
    visible_after_s: Seconds = 0.2
    """Time from the answer of CreateSnapshot until DescribeSnapshots lists the id."""
    copy_seconds: Seconds = 3.0
    """Time from a copy's beginning until it is NORMAL in the other region."""
    snapshot_groups: bool = True
    """Whether the account has snapshot groups, which are on application (user guide, snapshot consistency group)."""
    group_gap_s: Seconds = 0.05
    """Time between the cuts of two members of a group: the API calls a group not consistent (SDK, SnapshotGroupType)."""
    disk_seconds: Seconds = 0.5
    """Time until a new disk is listed, and until an attached disk leaves ATTACHING."""
    function_seconds: Seconds = 0.2
    """Time until a function is Active after a change."""
    repacks_code: bool = False
    """Whether SCF keeps code in another archive than it was given: nothing says what its CodeSha256 is the digest of."""
    searchable_after_s: Seconds = 0.5
    """Time until SearchLog finds an uploaded line."""
    rate_limit: dict[str, PerSecond] = dataclasses.field(default_factory=dict)
    """Calls a second by action, in place of the service's own limit."""

    def change(self, values: Mapping[str, object]) -> None:
        """Take over several values at once, or none. Raises LabError for an unknown name or a wrong value."""
        known = {field.name for field in dataclasses.fields(self)}
        if unknown := sorted(values.keys() - known):
            raise LabError(f"no such setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        try:
            changed = msgspec.convert({**dataclasses.asdict(self), **values}, Settings)
        except msgspec.ValidationError as error:
            raise LabError(f"wrong setting: {error}") from error
        for name in values:
            setattr(self, name, getattr(changed, name))
