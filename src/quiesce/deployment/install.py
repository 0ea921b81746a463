"""Installing quiesced on instances, in three steps: they make keys, the program is carried to them, all is put in place.

Only public halves, certificates and the encrypted secret pass through TAT, which keeps every command and every output. An
instance that fails a step leaves the others alone, and may be installed again at any time: what it has stays (install.sh).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from quiesce.deployment import scripts
from quiesce.deployment.keys import Keys
from quiesce.deployment.tat import Job, Result, Tat
from quiesce.errors import DeploymentError
from quiesce.plan import Instance
from quiesce.words import _

NAME = "quiesced-install"
_SUFFIXES = (".sh", ".service", ".toml")
_RUNNING = "RUNNING"


@dataclass(frozen=True)
class Bundle:
    """Everything that install.sh needs, as a tar file; ``program`` is the digest of quiesced.pyz, in hex."""

    content: bytes = field(repr=False)
    program: str

    @property
    def digest(self) -> str:
        """SHA-256 in hex."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What became of one instance: ``installed``, ``skipped`` or ``failed``, and why."""

    instance_id: str
    address: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Wish:
    """How to install. ``root``: stage below it (install.sh --root). ``url``: where they fetch the bundle; else by TAT."""

    keys: Keys
    bundle: Bundle
    now: datetime
    root: str = ""
    url: str = ""
    start: bool = False


def read_bundle(archive: Path, hooks: Path) -> Bundle:
    """Pack the program and what lies beside install.sh, the same bytes every time. Raises DeploymentError."""
    try:
        program = archive.read_bytes()
        beside = [path for path in sorted(hooks.iterdir()) if path.suffix in _SUFFIXES and path.is_file()]
        files = {"quiesced.pyz": program, **{path.name: path.read_bytes() for path in beside}}
    except OSError as error:
        raise DeploymentError(_("cannot read the program: {error}; `make package` builds it", error=error)) from error
    if "install.sh" not in files:
        raise DeploymentError(_("there is no install.sh in {hooks}", hooks=hooks))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return Bundle(gzip.compress(stream.getvalue(), mtime=0), hashlib.sha256(program).hexdigest())


def sort_out(tat: Tat, instances: Sequence[Instance]) -> dict[str, str]:
    """Say of each instance that cannot be installed on why that is. Raises CloudError."""
    stopped = {one.instance_id: f"it is {one.state}" for one in instances if one.state != _RUNNING}
    stopped |= {one.instance_id: "it has no private address" for one in instances if not one.address}
    asked = [one.instance_id for one in instances if one.instance_id not in stopped]
    return {**stopped, **tat.hindrances(asked)}


def install(tat: Tat, instances: Sequence[Instance], wish: Wish) -> list[Outcome]:
    """Install on every instance that can be reached. Raises CloudError when TAT itself refuses."""
    reasons = sort_out(tat, instances)
    outcomes = [
        Outcome(one.instance_id, one.address, "skipped", reasons[one.instance_id])
        for one in instances
        if one.instance_id in reasons
    ]
    left = {one.instance_id: one.address for one in instances if one.instance_id not in reasons}
    places: dict[str, str] = {}
    failures: dict[str, str] = {}
    for result in tat.run("making keys", [Job(NAME, scripts.enrol(wish.root), tuple(left))] if left else []):
        _enrolled(result, left, wish, places, failures)
    _carry(tat, tuple(places), wish, failures)
    jobs = [Job(NAME, script, (one,), 300) for one, script in places.items() if one not in failures]
    done: dict[str, str] = {}
    for result in tat.run("installing", jobs):
        (done if result.well else failures)[result.instance_id] = _remarks(result) if result.well else result.why
    return outcomes + [_outcome(one, address, done, failures) for one, address in left.items()]


def _outcome(instance_id: str, address: str, done: Mapping[str, str], failures: Mapping[str, str]) -> Outcome:
    """Only what said that it was done is installed: no word of an instance is a failure, too."""
    if instance_id in done and instance_id not in failures:
        return Outcome(instance_id, address, "installed", done[instance_id])
    return Outcome(instance_id, address, "failed", failures.get(instance_id, "TAT said nothing of it; install again"))


def _enrolled(
    result: Result, addresses: Mapping[str, str], wish: Wish, places: dict[str, str], failures: dict[str, str]
) -> None:
    """Write the last script for an instance that has made its keys."""
    enrolled = scripts.read_enrolled(result.output) if result.well else None
    if enrolled is None:
        failures[result.instance_id] = result.why
        return
    address, keys = addresses[result.instance_id], wish.keys
    try:
        places[result.instance_id] = scripts.place(
            wish.root,
            address=address,
            key_id=keys.hook_key_id,
            encrypted=keys.encrypt_secret(enrolled.public_key),
            certificate=keys.certify(enrolled.request, address, wish.now),
            digest=wish.bundle.digest,
            start=wish.start,
        )
    except DeploymentError as error:
        failures[result.instance_id] = str(error)


def _carry(tat: Tat, instance_ids: tuple[str, ...], wish: Wish, failures: dict[str, str]) -> None:
    if not instance_ids:
        return
    texts = [scripts.fetch(wish.root, wish.url)] if wish.url else scripts.pieces(wish.root, wish.bundle.content)
    jobs = [Job(NAME, text, instance_ids, 300) for text in texts]
    for result in tat.run("carrying the program", jobs):
        if not result.well:
            failures.setdefault(result.instance_id, result.why)


def _remarks(result: Result) -> str:
    said = [line.partition("remark: ")[2] for line in result.output.splitlines() if line.startswith("remark: ")]
    return "; ".join(said)
