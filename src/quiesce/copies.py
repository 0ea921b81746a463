"""Copies in other regions, where a policy says so: begun once a set is complete, then tagged and made to expire.

A copy is known by its name, the only thing that it has of its snapshot; what was copied once is not copied again while
its copy is there, and a snapshot that is older than copies are kept is not copied at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from quiesce.adapters import elsewhere
from quiesce.adapters.elsewhere import Copied
from quiesce.adapters.estate import Made, writer
from quiesce.adapters.tags import SnapshotTags
from quiesce.certificate import TAG_SEAL
from quiesce.errors import CloudError
from quiesce.naming import parse
from quiesce.plan import expiry_in
from quiesce.policies import Copy, Policy
from quiesce.pruning import made_for
from quiesce.wiring import Region, Wiring

TAG_SOURCE = "quiesce:copy-of"


def copy_all(policies: Mapping[str, Policy], made: Sequence[Made], now: datetime, wiring: Wiring) -> Sequence[Made]:
    """Do what is due for every policy; returns ``made`` with what is being copied now marked as bound."""
    bound: dict[str, str] = {}
    for name, policy in policies.items():
        for copying in _copyings(name, policy, wiring):
            bound.update(copying.carry_out(made, now))
    return [replace(one, point=replace(one.point, bound=bound.get(one.point.snapshot_id, one.point.bound))) for one in made]


def worth_it(one: Made, policy: Policy) -> bool:
    """Whether a snapshot belongs to a whole set of the level that its policy asks for."""
    return one.point.whole and one.point.level >= policy.asked


def _copyings(name: str, policy: Policy, wiring: Wiring) -> list[_Copying]:
    return [_Copying(name, policy, policy.copy, region, wiring) for region in policy.copy.regions] if policy.copy else []


class _Copying:
    """One policy and one region."""

    def __init__(self, name: str, policy: Policy, copy: Copy, region: str, wiring: Wiring) -> None:
        self._name, self._policy, self._copy, self._region, self._wiring = name, policy, copy, region, wiring
        self._there: Region = wiring.region(region)

    def carry_out(self, made: Sequence[Made], now: datetime) -> dict[str, str]:
        """Begin what is missing and settle what is there; says of each that is copied now where to."""
        try:
            copies = elsewhere.copies_in(self._there.cbs)
        except CloudError as error:
            self._note("not_listed", "", reason=str(error))
            return {}
        names = {one.name for one in copies}
        due = [one for one in self._due(made, now) if one.name not in names and self._region not in one.copying_to]
        begun = {one.point.snapshot_id: f"being copied to {self._region}" for one in due if self._begin(one)}
        sources = {one.name: one for one in made}
        for copy in copies:
            if copy.complete and self._is_ours(copy):
                self._settle(copy, sources.get(copy.name), now)
        return begun

    def _due(self, made: Sequence[Made], now: datetime) -> list[Made]:
        oldest = now - timedelta(days=self._copy.expire_after_days)
        mine = made_for(self._name, self._policy, made)
        return [one for one in mine if worth_it(one, self._policy) and one.point.created_at > oldest]

    def _is_ours(self, copy: Copied) -> bool:
        name = parse(copy.name)
        return name is not None and name.prefix == (self._policy.name_prefix or self._name)

    def _begin(self, one: Made) -> bool:
        api = writer(self._wiring.cloud)
        try:
            elsewhere.copy(api, one.point.snapshot_id, one.name, self._region)
        except CloudError as error:
            self._note("not_begun", one.point.snapshot_id, reason=str(error))
            return error.ambiguous
        self._note("begun", one.point.snapshot_id)
        return True

    def _settle(self, copy: Copied, source: Made | None, now: datetime) -> None:
        """Make it expire first: that needs no right to tag, and without it a copy is kept, and paid for, for ever."""
        tags = {} if source is None or TAG_SOURCE in copy.tags else self._tags_for(source)
        if copy.expires and not tags:
            return
        try:
            if not copy.expires:
                elsewhere.expire(self._there.cbs, copy.snapshot_id, expiry_in(self._copy.expire_after_days, now))
            if tags:
                SnapshotTags(self._region, self._there.tag).put([copy.snapshot_id], tags)
        except CloudError as error:
            self._note("not_settled", copy.snapshot_id, reason=str(error))
        else:
            self._note("settled", copy.snapshot_id)

    def _tags_for(self, source: Made) -> dict[str, str]:
        """What its source has, but for the seal, which is over the ids of the sources."""
        own = {key: value for key, value in source.tags.items() if key != TAG_SEAL}
        return {**own, TAG_SOURCE: f"{self._wiring.cloud.region}/{source.point.snapshot_id}"}

    def _note(self, outcome: str, snapshot_id: str, reason: str = "") -> None:
        about = {"policy": self._name, "region": self._region, "snapshot_id": snapshot_id}
        self._wiring.log.step({"step": "copy", "outcome": outcome, **about, "reason": reason})
