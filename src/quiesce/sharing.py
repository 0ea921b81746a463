"""Sharing with other accounts, where a policy says so, for as many days as it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from quiesce.adapters import elsewhere
from quiesce.adapters.estate import Made
from quiesce.copies import worth_it
from quiesce.errors import CloudError
from quiesce.policies import Policy, Share
from quiesce.pruning import made_for
from quiesce.wiring import Wiring


def share_all(policies: Mapping[str, Policy], made: Sequence[Made], now: datetime, wiring: Wiring) -> Sequence[Made]:
    """Do what is due for every policy; returns ``made`` with what is shared now marked as bound."""
    shared: set[str] = set()
    for name, policy in policies.items():
        if policy.share:
            shared |= _share(name, policy, policy.share, made_for(name, policy, made), now, wiring)
    return [
        replace(one, point=replace(one.point, bound="shared with another account"))
        if one.point.snapshot_id in shared
        else one
        for one in made
    ]


def _share(name: str, policy: Policy, share: Share, mine: Iterable[Made], now: datetime, wiring: Wiring) -> set[str]:
    oldest = now - timedelta(days=share.days)
    shared = set()
    for one in mine:
        young = one.point.created_at > oldest
        if young and worth_it(one, policy) and one.shares < len(share.accounts):
            done = _change(name, one, share.accounts, wiring, take_back=False)
        elif not young and one.shares:
            done = _change(name, one, share.accounts, wiring, take_back=True)
        else:
            continue
        if done and young:
            shared.add(one.point.snapshot_id)
    return shared


def _change(name: str, one: Made, accounts: Sequence[str], wiring: Wiring, *, take_back: bool) -> bool:
    """Share with those that have it not, or take it back from those that have it; False when that failed."""
    snapshot_id, reader = one.point.snapshot_id, wiring.shared.cbs
    note = {"step": "share", "policy": name, "snapshot_id": snapshot_id}
    try:
        having = elsewhere.accounts_of(reader, snapshot_id)
        meant = [account for account in accounts if (account in having) is take_back]
        if meant:
            elsewhere.share(reader, snapshot_id, meant, take_back=take_back)
    except CloudError as error:
        wiring.log.step({**note, "outcome": "trouble", "reason": str(error)})
        return False
    if meant:
        wiring.log.step({**note, "outcome": "taken_back" if take_back else "shared", "accounts": " ".join(meant)})
    return True
