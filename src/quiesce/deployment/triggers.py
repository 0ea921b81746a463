"""The function's timers and its URL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quiesce.adapters.tencent import Answer, Api, Page, pages
from quiesce.deployment.spec import Deployment
from quiesce.deployment.steps import SCF, Step

QUALIFIER = "$DEFAULT"
TIMER, URL = "timer", "http"


class _Trigger(Answer, frozen=True):
    trigger_name: str
    type: str
    trigger_desc: str | None = None
    custom_argument: str | None = None
    qualifier: str | None = None
    enable: int | None = None


class _Triggers(Page, frozen=True):
    triggers: tuple[_Trigger, ...] | None = None


@dataclass(frozen=True)
class Wanted:
    """A trigger that is to be there. ``desc`` is compared by its own keys: SCF adds keys when it is asked."""

    name: str
    kind: str
    desc: Mapping[str, Any]
    argument: str | None

    @property
    def subject(self) -> str:
        """What a person calls it."""
        return f"timer {self.name}" if self.kind == TIMER else "function URL"


@dataclass(frozen=True)
class TriggerComparison:
    """The steps to the triggers that are wanted, and those that are there beside them."""

    steps: tuple[Step, ...]
    others: tuple[str, ...]


def compare(api: Api, spec: Deployment, *, exists: bool, remove_others: bool) -> TriggerComparison:
    """Compare the triggers with what is wanted; changes nothing. With ``remove_others`` others go. Raises CloudError."""
    there = list(_there(api, spec)) if exists else []
    wanted = list(_wanted(spec))
    matched = [(one, _match(one, there)) for one in wanted]
    known = [found for _, found in matched if found]
    others = [one for one in there if one not in known and one.type in (TIMER, URL)]
    steps = [_removal(spec, one) for one in others if remove_others or _in_the_way(one, wanted)]
    steps += [step for one, found in matched for step in _steps(spec, one, found)]
    left = [] if remove_others else [one for one in others if not _in_the_way(one, wanted)]
    return TriggerComparison(tuple(steps), tuple(f"{one.type} {one.trigger_name}" for one in left))


def _there(api: Api, spec: Deployment) -> Iterator[_Trigger]:
    params = {"FunctionName": spec.function, "Namespace": spec.namespace}
    return (one for page in pages(api, "ListTriggers", params, _Triggers) for one in page.triggers or ())


def _wanted(spec: Deployment) -> Iterator[Wanted]:
    for timer in spec.timers:
        yield Wanted(timer.name, TIMER, {"cron": timer.cron}, timer.policy)
    if spec.url:
        net = {"EnableIntranet": spec.url.intranet, "EnableExtranet": spec.url.extranet}
        yield Wanted(spec.url.name, URL, {"AuthType": "CAM", "NetConfig": net}, None)


def _match(wanted: Wanted, there: Iterable[_Trigger]) -> _Trigger | None:
    """Find a timer by its name, and the URL by its being one: a version has one at most (SCF documentation)."""
    for one in there:
        named = one.trigger_name == wanted.name or wanted.kind == URL
        if one.type == wanted.kind and one.qualifier == QUALIFIER and named:
            return one
    return None


def _in_the_way(other: _Trigger, wanted: Iterable[Wanted]) -> bool:
    """Whether one that we do not want takes a name that we need, as one made for another version does."""
    return any(other.trigger_name == one.name for one in wanted)


def _steps(spec: Deployment, wanted: Wanted, found: _Trigger | None) -> Iterator[Step]:
    params: dict[str, object] = {
        "FunctionName": spec.function,
        "Namespace": spec.namespace,
        "TriggerName": found.trigger_name if found else wanted.name,
        "Type": wanted.kind,
        "TriggerDesc": json.dumps(wanted.desc),
        "Qualifier": QUALIFIER,
        "Enable": "OPEN",
        **({"CustomArgument": wanted.argument} if wanted.argument else {}),
    }
    if found is None:
        yield Step("create", wanted.subject, _words(wanted), SCF, "CreateTrigger", params)
        return
    differences = list(_differences(wanted, found))
    if differences:
        yield Step("change", wanted.subject, "; ".join(differences), SCF, "UpdateTrigger", params)


def _removal(spec: Deployment, other: _Trigger) -> Step:
    params = {
        "FunctionName": spec.function,
        "Namespace": spec.namespace,
        "TriggerName": other.trigger_name,
        "Type": other.type,
        "Qualifier": other.qualifier or "$LATEST",
    }
    detail = f"not in the deployment file, or of {other.qualifier}"
    return Step("remove", f"{other.type} {other.trigger_name}", detail, SCF, "DeleteTrigger", params)


def _differences(wanted: Wanted, found: _Trigger) -> Iterator[str]:
    there = _read(found.trigger_desc)
    if _part(there, wanted.desc) != wanted.desc:
        yield f"{json.dumps(_part(there, wanted.desc))} -> {json.dumps(wanted.desc)}"
    if wanted.argument and found.custom_argument != wanted.argument:
        yield f"policy {found.custom_argument} -> {wanted.argument}"
    if found.enable != 1:
        yield "off -> on"


def _read(text: str | None) -> dict[str, Any]:
    """Read what SCF says of a trigger: a timer's cron comes back as JSON, whatever it was sent as."""
    try:
        read = json.loads(text or "")
    except ValueError:
        return {"cron": text}
    return read if isinstance(read, dict) else {}


def _part(there: Any, wanted: Any) -> Any:
    """Cut out of ``there`` what ``wanted`` speaks of."""
    if isinstance(there, dict) and isinstance(wanted, Mapping):
        return {key: _part(there.get(key), value) for key, value in wanted.items()}
    return there


def _words(wanted: Wanted) -> str:
    if wanted.kind == TIMER:
        return f"{wanted.desc['cron']}, policy {wanted.argument}"
    nets = [name for name, on in wanted.desc["NetConfig"].items() if on]
    return f"callers checked by CAM, {' and '.join(nets)}"
