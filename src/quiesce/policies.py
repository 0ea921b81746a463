"""The policy file: what to protect, how far, and how long anything may be made to wait (src/policies.toml shows all).

Every problem in the file is named at once, with its path: who fixes one at a time has to deploy each time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import msgspec
from msgspec import Meta

from quiesce import naming
from quiesce.errors import PolicyError, RequestError
from quiesce.model import HoldUntil, Level, OnPartial, OnQuiesceFailure
from quiesce.words import _

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RESERVED_TAG_PREFIXES = ("qcs:", "project", "qcloud", "tencent", "quiesce")
"""The first four are the cloud's (tag service and CVM, limits), the last is ours."""
MAX_TAGS = 20
OUR_SOURCE = "quiesce"
"""Source of the events that runs publish (adapters/event_bus)."""
MIN_GROUP = 2
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAG_TEXT = re.compile(r"[A-Za-z0-9_.:/@=+-]{1,127}")
"""What every page of the cloud's documentation allows in tags; the pages differ beyond this."""

InstanceId = Annotated[str, Meta(pattern=r"^ins-[a-z0-9]{4,12}\Z")]
DiskId = Annotated[str, Meta(pattern=rf"^{naming.DISK_ID.pattern}\Z")]
Region = Annotated[str, Meta(pattern=r"^[a-z]{2,4}-[a-z0-9-]{3,30}\Z")]
AccountId = Annotated[str, Meta(pattern=r"^[0-9]{5,20}\Z")]
Prefix = Annotated[str, Meta(pattern=rf"^{naming.PREFIX.pattern}\Z")]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of the file."""


class TagSelector(Table, frozen=True):
    """Every instance that carries this tag with one of these values (the cloud takes at most 5)."""

    key: Annotated[str, Meta(min_length=1, max_length=127)]
    """Key of the tag."""
    values: Annotated[tuple[str, ...], Meta(min_length=1, max_length=5)]
    """Values of the tag, of which an instance has one."""


class Targets(Table, frozen=True):
    """The instances named, and those that carry the tag, with which of their disks."""

    instances: tuple[InstanceId, ...] = ()
    """Ids of instances."""
    tag: TagSelector | None = None
    """Every instance that carries this tag, too."""
    disks: Literal["data", "all"] | tuple[DiskId, ...] = "data"
    """Which of their disks. ``data`` leaves the system disk out: the root filesystem is never frozen, so no set with it gets
    past ``crash``."""


class EventFilter(Table, frozen=True):
    """Events of EventBridge that start a policy: of this source, of one of these types, about these subjects or any."""

    source: Annotated[str, Meta(min_length=1, max_length=256)]
    """The events' source; not ``quiesce``, which runs publish as."""
    types: Annotated[tuple[str, ...], Meta(min_length=1, max_length=20)]
    """Types of events, of which one has to match."""
    subjects: tuple[str, ...] = ()
    """Subjects, of which one has to match; none given: any."""


class Retention(Table, frozen=True):
    """What ``prune`` keeps of a policy's snapshots, beside what must stay anyway (retention.Rules)."""

    last: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest so many sets."""
    hourly: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest set of each of the last so many hours that have one."""
    daily: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest set of each of the last so many days that have one."""
    weekly: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest set of each of the last so many weeks that have one."""
    monthly: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest set of each of the last so many months that have one."""
    yearly: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The newest set of each of the last so many years that have one."""


class Copy(Table, frozen=True):
    """Other regions that get a copy of every complete set of the level asked for."""

    regions: Annotated[tuple[Region, ...], Meta(min_length=1, max_length=20)]
    """Regions that are copied to."""
    expire_after_days: Annotated[int, Meta(ge=2, le=36_500)]
    """The cloud deletes a copy after so many days: retention does not reach there."""


class Share(Table, frozen=True):
    """Other accounts that may use every complete set of the level asked for."""

    accounts: Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=50)]
    """Ids of the accounts (main accounts' uin)."""
    days: Annotated[int, Meta(ge=1, le=36_500)]
    """For how many days; it is taken back then, because what is shared cannot be deleted."""


class Policy(Table, frozen=True):
    """One ``[policies.<name>]`` table."""

    targets: Targets
    """Which instances, and which of their disks."""
    level: Literal["application", "filesystem", "crash"] = "application"
    """The level asked for; a run that reaches less says so."""
    on_quiesce_failure: OnQuiesceFailure = OnQuiesceFailure.FAIL
    """What to do when the hold cannot be had."""
    acquire_limit_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    """How long getting the hold may make a writer wait, in seconds."""
    hold_limit_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    """How long the hold may last, in seconds: room for ``acquire_limit_s`` (of each instance of a consistency group), a call
    to the cloud (two with ``snapshot_group``) and a second."""
    hold_until: HoldUntil = HoldUntil.ACCEPTED
    """When writers may go on."""
    snapshot_group: bool = False
    """Make each instance's snapshots by one CreateSnapshotGroup, where the account has it."""
    consistency_group: bool = False
    """Hold all instances of ``targets.instances`` at the same time, in their order, and cut all or none."""
    on_partial: OnPartial = OnPartial.KEEP
    """What becomes of the snapshots of a set of which some were refused."""
    expire_after_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """The cloud deletes the snapshots after so many days; unset: never."""
    name_prefix: Prefix | None = None
    """Begins the snapshots' names, after ``quiesce-``; unset: the policy's name, which must then have this form."""
    tags: dict[str, str] = {}
    """Tags for the snapshots, beside Quiesce's own: at most 20, of A-Z a-z 0-9 _ . : / @ = + -."""
    events: tuple[EventFilter, ...] = ()
    """Events that start the policy; one event may start one policy."""
    retention: Retention | None = None
    """What is kept; unset: nothing is pruned."""
    objective_hours: Annotated[float, Meta(gt=0, le=8784)] | None = None
    """How old the newest point of the level asked for may be, in hours; unset: any age."""
    copy: Copy | None = None
    """Copies in other regions, made by the follow-up."""
    share: Share | None = None
    """Shares with other accounts, kept by the follow-up."""

    @property
    def asked(self) -> Level:
        """The level that ``level`` names."""
        return Level[self.level.upper()]


def load(path: Path) -> Mapping[str, Policy]:
    """Read the policy file; raises PolicyError with every problem in it."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError((_("cannot read {path}: {error}", path=path, error=error),)) from error


def parse(text: str) -> Mapping[str, Policy]:
    """Read policies from TOML; raises PolicyError with every problem in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError((_("not TOML: {error}", error=error),)) from error
    problems = [f"{key}: unknown; the file holds [policies.<name>] tables" for key in document if key != "policies"]
    tables = document.get("policies")
    if not isinstance(tables, dict) or not tables:
        raise PolicyError((*problems, _("policies: there is no [policies.<name>] table")))
    found = {name: _policy(name, table, problems) for name, table in tables.items()}
    if problems:
        raise PolicyError(tuple(problems))
    return {name: policy for name, policy in found.items() if policy is not None}


def named(policies: Mapping[str, Policy], name: str) -> Policy:
    """Find the policy that a request names; raises RequestError (404) with the names that there are."""
    if name not in policies:
        raise RequestError(
            _("there is no policy {name!r}; there are: {names}", name=name[:60], names=", ".join(sorted(policies))),
            status=404,
        )
    return policies[name]


def _policy(name: str, table: object, problems: list[str]) -> Policy | None:
    path = f"policies.{name}"
    if not POLICY_NAME.fullmatch(name):
        problems.append(_("{path}: a name is at most 40 of a-z 0-9 _ - and begins with a letter or digit", path=path))
    wrong = list(_wrong(path, table, Policy))
    if not wrong:
        policy = msgspec.convert(table, type=Policy)
        wrong = [f"{path}.{problem}" for problem in _inconsistent(name, policy)]
    problems += wrong
    return None if wrong else policy


def _wrong(path: str, table: object, kind: type[Table]) -> Iterator[str]:
    """Every problem of a table, key by key, because msgspec alone stops at the first."""
    if not isinstance(table, dict):
        yield _("{path}: must be a table", path=path)
        return
    types = get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in table.keys() - fields.keys():
        yield _("{path}.{key}: unknown; known are {fields}", path=path, key=key, fields=", ".join(fields))
    for key, field in fields.items():
        if key in table:
            yield from _wrong_value(f"{path}.{key}", table[key], types[key])
        elif field.required:
            yield _("{path}.{key}: missing", path=path, key=key)


def _wrong_value(path: str, value: object, kind: object) -> Iterator[str]:
    if kind == Targets:
        yield from _wrong(path, value, Targets)
        return
    for table in (TagSelector, Retention, Copy, Share):
        if kind == table | None:
            yield from _wrong(path, value, table)
            return
    try:
        msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        yield f"{path}: {error}"


def _inconsistent(name: str, policy: Policy) -> Iterator[str]:
    """Problems between keys, and in tags, that types cannot say."""
    if not policy.targets.instances and policy.targets.tag is None:
        yield _("targets: name instances, or a tag that selects them")
    if not policy.targets.disks:
        yield _('targets.disks: an empty list protects nothing; list disks, or write "data" or "all"')
    if policy.name_prefix is None and not naming.PREFIX.fullmatch(name):
        yield _(
            "name_prefix: needed, because the policy's name is no prefix (at most {max_prefix} of a-z 0-9 -)",
            max_prefix=naming.MAX_PREFIX,
        )
    if policy.consistency_group and (policy.targets.tag is not None or len(policy.targets.instances) < MIN_GROUP):
        yield _(
            "consistency_group: name its members in targets.instances, at least two, in the order in which they are held"
        )
    if policy.acquire_limit_s >= policy.hold_limit_s:
        yield _("hold_limit_s: must be longer than acquire_limit_s, which is a part of it")
    if any(one.source == OUR_SOURCE for one in policy.events):
        yield _(
            "events: {our_source} is the source of the results that runs publish; a run that starts a run never ends",
            our_source=OUR_SOURCE,
        )
    yield from _wrong_tags(policy.tags)


def _wrong_tags(tags: Mapping[str, str]) -> Iterator[str]:
    if len(tags) > MAX_TAGS:
        yield _("tags: at most {max_tags}", max_tags=MAX_TAGS)
    for key, value in tags.items():
        if key.lower().startswith(RESERVED_TAG_PREFIXES):
            yield _(
                "tags.{key}: reserved; no tag may begin with {reserved_tag_prefixes}",
                key=key,
                reserved_tag_prefixes=", ".join(RESERVED_TAG_PREFIXES),
            )
        if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(value):
            yield _("tags.{key}: key and value are 1 to 127 of A-Z a-z 0-9 _ . : / @ = + -", key=key)
