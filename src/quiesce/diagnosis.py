"""Is this account and are these instances ready: one finding for each question, with what to do where the answer is no.

Nothing is changed. What the role may write is asked by calls about things that cannot exist: a refusal of the right is told
apart from "there is no such thing", as far as the cloud looks at rights first.
"""

from __future__ import annotations

import enum
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests

from quiesce.adapters.tencent import Cloud, Nothing
from quiesce.credentials import Found
from quiesce.errors import CloudError
from quiesce.foresight import Forecast
from quiesce.plan import Refusal
from quiesce.words import _

CLOCK_FAILS_S, CLOCK_WARNS_S = 240.0, 60.0
"""The cloud refuses a signature that is five minutes off (API reference, signature v3)."""
READS: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    ("cvm", "2017-03-12", "DescribeInstances", {"Limit": 1}),
    ("cbs", "2017-03-12", "DescribeDisks", {"Limit": 1}),
    ("cbs", "2017-03-12", "DescribeSnapshots", {"Limit": 1}),
    ("cbs", "2017-03-12", "DescribeSnapshotOverview", {}),
)
NO_DISK, NO_SNAPSHOT = "disk-00000000", "snap-00000000"


class State(enum.Enum):
    """What was found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The answer to one question: ``what`` was found, and what ``todo`` about it."""

    question: str
    state: State
    what: str
    todo: str = ""


def of_key(found: Found) -> Iterator[Finding]:
    """Say which key and which region count, and what is there besides."""
    unused = _("; not used: {others}", others=", ".join(found.also)) if found.also else ""
    used = _("{key} from {source}", key=f"{found.secret_id[:8]}...", source=found.source)
    yield Finding("key", State.OK, used + unused)
    if found.region:
        yield Finding("region", State.OK, _("{key} from {source}", key=found.region, source=found.region_source))
    else:
        yield Finding("region", State.FAILED, _("no region is set"), _("give --region, or set TENCENTCLOUD_REGION"))


def of_clock(host: str, ca: str | None, now: Callable[[], float] = time.time) -> Finding:
    """Compare this machine's clock with that of the API."""
    try:
        began_s = now()
        answer = requests.head(f"https://{host}/", timeout=5, verify=ca or True, allow_redirects=False)
        there_s = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (requests.RequestException, KeyError, ValueError) as error:
        todo = _("let this machine reach the API by HTTPS, or give --endpoint")
        return Finding(
            "clock", State.WARNING, _("{host} tells no time: {error}", host=host, error=type(error).__name__), todo
        )
    off_s = abs(there_s - (began_s + now()) / 2)
    state = State.FAILED if off_s > CLOCK_FAILS_S else State.WARNING if off_s > CLOCK_WARNS_S else State.OK
    todo = "" if state is State.OK else _("set the clock (NTP): signatures that are five minutes off are refused")
    return Finding("clock", state, _("within {off_s} s of {host}", off_s=round(max(1.0, off_s)), host=host), todo)


def of_rights(cloud: Cloud) -> Iterator[Finding]:
    """Ask for every read that a run makes."""
    for service, version, action, params in READS:
        yield _asked(action, functools.partial(cloud.api(service, version).read, action, params, Nothing))


def of_writes(cloud: Cloud) -> Iterator[Finding]:
    """Ask for every write that a run makes, about things that cannot exist."""
    cbs, tag = cloud.api("cbs", "2017-03-12"), cloud.api("tag", "2018-08-13")
    resource = f"qcs::cvm:{cloud.region}:uin/:snapshot/{NO_SNAPSHOT}"
    tags = [{"TagKey": "quiesce:doctor", "TagValue": "1"}]
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("CreateSnapshot", lambda: cbs.once("CreateSnapshot", {"DiskId": NO_DISK}, Nothing)),
        (
            "ModifySnapshotAttribute",
            lambda: cbs.once("ModifySnapshotAttribute", {"SnapshotId": NO_SNAPSHOT, "SnapshotName": "none"}, Nothing),
        ),
        ("DeleteSnapshots", lambda: cbs.once("DeleteSnapshots", {"SnapshotIds": [NO_SNAPSHOT]}, Nothing)),
        (
            "ModifyResourceTags",
            lambda: tag.once("ModifyResourceTags", {"Resource": resource, "ReplaceTags": tags}, Nothing),
        ),
    )
    for action, call in calls:
        yield _asked(action, call, about_nothing=True)


def _asked(action: str, call: Callable[[], object], *, about_nothing: bool = False) -> Finding:
    question = f"right to {action}"
    try:
        call()
    except CloudError as error:
        if about_nothing and not error.ambiguous and not _is_a_refusal_of_the_right(error.code):
            return Finding(question, State.OK, _("allowed, as far as the cloud looks at rights first"))
        lacking = _is_a_refusal_of_the_right(error.code)
        todo = _("give the role deploy/cam-policy.json") if lacking else _("see the message")
        return Finding(question, State.FAILED, str(error), todo)
    return Finding(question, State.OK, _("allowed"))


def _is_a_refusal_of_the_right(code: str) -> bool:
    return code.startswith(("UnauthorizedOperation", "AuthFailure"))


def of_targets(policy: str, forecasts: Sequence[Forecast], refusals: Sequence[Refusal]) -> Iterator[Finding]:
    """Say of each instance of a policy whether it could be held now."""
    for refusal in refusals:
        yield Finding(f"{policy}: {refusal.subject}", State.FAILED, refusal.reason, _("correct the policy, or the instance"))
    for one in forecasts:
        name = f"{policy}: {one.plan.instance_id}"
        if one.ready is None:
            yield Finding(name, State.SKIPPED, _("its hook was not asked"), _("set the function's variables here"))
        elif one.ready:
            yield Finding(name, State.OK, _("would hold {what}", what=one.applications or _("its filesystems")))
        else:
            yield Finding(name, State.FAILED, one.obstacles, _("`quiesced check` on the instance shows every path"))
