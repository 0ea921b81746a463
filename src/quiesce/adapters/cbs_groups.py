"""Snapshot groups: several disks of one instance by one call, for accounts that have them.

The call answers with the group's id alone; its members are found through the group. A group is not consistent by itself
(SDK, SnapshotGroup.SnapshotGroupType), takes no expiry and no token, and cannot be renamed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from quiesce.adapters.tencent import Answer, Api, Page, Reads, pages
from quiesce.errors import CloudError, UnavailableError
from quiesce.model import Intent

NOT_ENABLED = re.compile(
    r"(InvalidAction|InvalidParameterValue\.InvalidAction|OperationDenied|UnauthorizedOperation|UnsupportedOperation)(\..*)?"
)
"""Codes that are taken to say that the account has no groups, or the role no right to them. The feature is a limited beta
(user guide, snapshot consistency group) and which code others get is not documented: add the one that you see."""


class _Created(Answer, frozen=True):
    snapshot_group_id: str | None = None


class _Group(Answer, frozen=True):
    snapshot_group_id: str | None = None
    snapshot_group_name: str | None = None
    snapshot_id_set: tuple[str, ...] | None = None


class _Groups(Page, frozen=True):
    snapshot_group_set: tuple[_Group, ...] | None = None


class Groups:
    """The groups of one region, for one target. Once the account is known to have none, none is asked for again."""

    def __init__(self, reader: Reads) -> None:
        self._reader = reader
        self._unavailable: UnavailableError | None = None

    @property
    def unavailable(self) -> bool:
        """Whether the account is known to have no groups, or its groups cannot be listed."""
        return self._unavailable is not None

    def members(self, name: str) -> Mapping[str, str]:
        """Find every group with exactly this name; snapshot id to group id. Raises CloudError.

        An account without groups has none of this name, and whoever cannot list members shall not create any.
        """
        if self._unavailable is not None:
            return {}
        named = [{"Name": "snapshot-group-name", "Values": [name]}]
        try:
            listed = [
                group
                for page in pages(self._reader, "DescribeSnapshotGroups", {"Filters": named}, _Groups)
                for group in page.snapshot_group_set or ()
            ]
        except CloudError as error:
            self._unavailable = _told_apart(error)
            return {}
        return {
            snapshot_id: group.snapshot_group_id
            for group in listed
            if group.snapshot_group_name == name and group.snapshot_group_id
            for snapshot_id in group.snapshot_id_set or ()
        }

    def create(self, api: Api, intents: Sequence[Intent], timeout_s: float) -> str:
        """Send CreateSnapshotGroup exactly once and return the group's id. Raises CloudError.

        Nothing is sent, and UnavailableError is raised, when the account is known to have no groups.
        """
        if self._unavailable is not None:
            raise self._unavailable
        params = {"DiskIds": [intent.disk_id for intent in intents], "SnapshotGroupName": intents[0].group}
        try:
            created = api.once("CreateSnapshotGroup", params, _Created, timeout_s=timeout_s)
        except CloudError as error:
            self._unavailable = _told_apart(error)
            raise self._unavailable from error
        if not created.snapshot_group_id:
            message = "CreateSnapshotGroup was answered without a SnapshotGroupId, so whether it worked is not known"
            raise CloudError(message, code="NullSnapshotGroupId", ambiguous=True)
        return created.snapshot_group_id


def _told_apart(error: CloudError) -> UnavailableError:
    """Return what says that there are no groups; raises the error itself when it says anything else."""
    if not NOT_ENABLED.fullmatch(error.code):
        raise error
    return UnavailableError(str(error), code=error.code)
