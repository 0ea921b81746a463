"""What there is of quiesced on instances, asked through TAT."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from quiesce.deployment import scripts
from quiesce.deployment.install import sort_out
from quiesce.deployment.tat import Job, Result, Tat
from quiesce.plan import Instance

NAME = "quiesced-status"
SOON = timedelta(days=30)


@dataclass(frozen=True)
class Seen:
    """One instance: ``well``, ``not well`` or ``unknown``, and what was seen. ``program``: ours, other, or none."""

    instance_id: str
    outcome: str
    program: str
    service: str
    certificate_ends: str
    keys: str
    detail: str


def look(tat: Tat, instances: Sequence[Instance], archive: Path, root: str, now: datetime) -> list[Seen]:
    """Look at every instance that can be reached. ``archive``: the program that ought to be there. Raises CloudError."""
    reasons = sort_out(tat, instances)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest() if archive.is_file() else ""
    asked = tuple(one.instance_id for one in instances if one.instance_id not in reasons)
    results = tat.run("looking", [Job(NAME, scripts.look(root), asked)] if asked else [])
    seen = [Seen(one, "unknown", "", "", "", "", why) for one, why in reasons.items()]
    return seen + [_seen(result, digest, now) for result in results]


def _seen(result: Result, digest: str, now: datetime) -> Seen:
    if not result.well:
        return Seen(result.instance_id, "unknown", "", "", "", "", result.why)
    said = scripts.read_look(result.output)
    there = said.get("program", "")
    program = "none" if not there else "ours" if there == digest else "other" if digest else there[:12]
    problems = list(_problems(said, program, now))
    return Seen(
        result.instance_id,
        "not well" if problems else "well",
        program,
        said.get("service", ""),
        said.get("certificate_ends", ""),
        said.get("keys", ""),
        "; ".join(problems),
    )


def _problems(said: Mapping[str, str], program: str, now: datetime) -> Iterator[str]:
    if program == "none":
        yield "quiesced is not installed"
        return
    if program == "other":
        yield "another program than the archive: install again to upgrade"
    if said.get("service", "active") != "active":
        yield f"the service is {said['service']}: name the applications in quiesced.toml, then systemctl start quiesced"
    if said.get("check", "0") != "0":
        yield f"quiesced check ends with {said['check']}: run it on the instance"
    ends = _ends(said.get("certificate_ends", ""))
    if ends is None:
        yield "no certificate that can be read"
    elif ends < now + SOON:
        yield "the certificate ends soon: install again to renew it"


def _ends(text: str) -> datetime | None:
    """Read the time as openssl writes it, like ``Nov 26 13:49:00 2026 GMT``."""
    try:
        return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
