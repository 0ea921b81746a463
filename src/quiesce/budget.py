"""Time: what each step may take at worst, and whether a policy, the settings and the time left fit together.

The hook lets go by itself whatever happens here. These sums keep that from being needed: settings whose arithmetic is
unsafe are refused before anything is touched.
"""

from __future__ import annotations

from quiesce.model import Limits, OnPartial
from quiesce.policies import Policy
from quiesce.settings import CloudSettings, HookSettings, Settings
from quiesce.words import _

PREFLUSH_S = 30.0
"""What a hook may spend flushing, without any lock, before it begins to hold."""
HOLD_MARGIN_S = 1.0
"""Part of a hold that is neither acquiring nor the call to the cloud: starting threads, answering, thawing."""
RELEASE_MARGIN_S = 2.0
"""Added to the hold's limit before a hook that cannot be reached is believed to have let go by itself."""
DISCARD_S = 20.0
"""How long a part of a set is tried to be deleted: it has to be complete first (API reference, DeleteSnapshots)."""
CHECK_ATTEMPTS = 2
READ_ATTEMPTS = 3
READ_RETRY_S = 8.0
"""No read of the cloud is begun again after this long."""


def prepare_timeout_s(hook: HookSettings) -> float:
    """How long a hook may take to answer ``prepare``: flushing, answering."""
    return PREFLUSH_S + hook.timeout_s


def quiesce_timeout_s(acquire_limit_s: float, hook: HookSettings) -> float:
    """How long a hook may take to answer ``quiesce`` under a lease that was prepared: acquiring, answering."""
    return acquire_limit_s + hook.timeout_s


def release_window_s(limits: Limits) -> float:
    """How long a release is asked again: until the hold's own limit has certainly passed."""
    return limits.hold_limit_s + RELEASE_MARGIN_S


def read_s(cloud: CloudSettings) -> float:
    """One read of the cloud at worst; connecting and waiting for the answer are each bounded by the timeout."""
    return READ_RETRY_S + 2 * cloud.timeout_s


def needed_s(policy: Policy, settings: Settings) -> float:
    """One target at worst, every step included."""
    hook, limits = settings.hook, Limits(policy.acquire_limit_s, policy.hold_limit_s)
    before = CHECK_ATTEMPTS * 2 * hook.timeout_s + 2 * read_s(settings.cloud)
    holding = prepare_timeout_s(hook) + quiesce_timeout_s(limits.acquire_limit_s, hook) + limits.hold_limit_s
    letting_go = release_window_s(limits) + 2 * hook.timeout_s
    after = 2 * read_s(settings.cloud)
    return before + holding + letting_go + after + _group_s(policy, settings) + _discard_s(policy, settings)


def calls_in_the_hold(policy: Policy) -> int:
    """How many calls to the cloud may follow one another in a hold: where there are no groups, a second has to do."""
    return 2 if policy.snapshot_group else 1


def _group_s(policy: Policy, settings: Settings) -> float:
    """Looking a group and its members up, before the hold and after it."""
    return 4 * read_s(settings.cloud) if policy.snapshot_group else 0.0


def _discard_s(policy: Policy, settings: Settings) -> float:
    """Deleting what was made of a set that could not be made whole."""
    return DISCARD_S + 2 * read_s(settings.cloud) if policy.on_partial is OnPartial.DELETE else 0.0


def unsafe(policy: Policy, settings: Settings, time_left_s: float) -> tuple[str, ...]:
    """Say why this must not begin; empty when it may. ``time_left_s``: until SCF ends the function."""
    problems = []
    calls = calls_in_the_hold(policy)
    members = len(policy.targets.instances) if policy.consistency_group else 1
    least = members * policy.acquire_limit_s + calls * settings.cloud.timeout_s + HOLD_MARGIN_S
    if policy.hold_limit_s < least:
        problems.append(
            _(
                "hold_limit_s is {hold_limit_s:g} s and must be at least {least:g} s: {members} x "
                "acquire_limit_s ({acquire_limit_s:g}) + {calls} x QUIESCE_API_TIMEOUT_S ({timeout_s:g}) "
                "+ {hold_margin_s:g}",
                hold_limit_s=policy.hold_limit_s,
                least=least,
                members=members,
                acquire_limit_s=policy.acquire_limit_s,
                calls=calls,
                timeout_s=settings.cloud.timeout_s,
                hold_margin_s=HOLD_MARGIN_S,
            )
        )
    needed = needed_s(policy, settings)
    if time_left_s < needed:
        problems.append(
            _(
                "the function has {time_left_s:.0f} s left and one target may need {needed:.0f} s: raise "
                "the function's timeout, or lower hold_limit_s, QUIESCE_HOOK_TIMEOUT_S or "
                "QUIESCE_API_TIMEOUT_S",
                time_left_s=time_left_s,
                needed=needed,
            )
        )
    return tuple(problems)
