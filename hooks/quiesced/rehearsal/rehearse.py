"""The rehearsal, in the order in which it happens.

    not now?     root, nothing held, nothing left held
    check        what `quiesced check` shows, and the disks to rehearse
    hold once    through the running service where there is one, else through a process with the same keeper; released
    hold again   through a process of ours, which is killed; its guardian lets go, and what is left is healed
    check again  another hold would be granted

The second hold never goes through the service: a service is not killed for a rehearsal. While it lasts, this process has
the place, so the service answers `busy` to whoever asks it to hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from quiesced import __version__, listing
from quiesced.caller import DaemonSilentError
from quiesced.disks import Disks
from quiesced.messages import CheckAnswer, Refusal
from quiesced.place import Place
from quiesced.rehearsal import service, stages, traces
from quiesced.rehearsal.answers import check_answer
from quiesced.rehearsal.holders import ChildHolder, Holder, ServiceHolder
from quiesced.rehearsal.probe import Probe
from quiesced.rehearsal.report import Reason, Report, reason
from quiesced.rehearsal.stages import Asked
from quiesced.state import StateDir
from quiesced.words import _, later

ROOT_ALONE = later(
    "the first hold was made as root: the service has fewer rights. Start it and run this again to see that it can hold, too"
)


class _Found(Exception):
    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def rehearse(config_path: Path, asked: Asked) -> Report:
    """Rehearse and report. Whatever happens in it, nothing is held afterwards that this can let go of. Raises OSError."""
    report = Report(__version__, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    place = Place(asked.config.state_dir)
    stage = _Stage(config_path, asked, place, report)
    try:
        stage.run()
    except _Found as found:
        stage.note(reasons=found.reasons)
    except DaemonSilentError as error:
        stage.note(reasons=(reason("no_answer", str(error)),))
    finally:
        if place.take():
            traces.remove(asked.config)
        place.leave()
    return stage.report


class _Stage:
    """One rehearsal and what it has found so far."""

    def __init__(self, config_path: Path, asked: Asked, place: Place, report: Report) -> None:
        self.report = report
        self._config_path = config_path
        self._asked = asked
        self._place = place

    def note(self, **found: object) -> None:
        """Add to the report; reasons and notes to those already there."""
        for name in ("reasons", "notes"):
            if name in found:
                found[name] = (*getattr(self.report, name), *found[name])  # type: ignore[misc]
        self.report = replace(self.report, **found)  # type: ignore[arg-type]  # names are checked by replace

    def run(self) -> None:
        """Do everything. Raises _Found at the first thing that speaks against going on."""
        served = self._insist_on_a_good_moment()
        with self._holder(served) as holder:
            mount_points = dict.fromkeys(found.mount_point for found in self._check(holder).filesystems)
            with Probe(list(mount_points)) as probe:
                self._insist_on_writes(probe)
                held, reasons = stages.hold_and_release(holder, self._asked, probe)
                self.note(held=held)
                self._insist_on_none(reasons)
                self._insist_on_the_place()
                with self._child() as child:
                    killed, reasons = stages.hold_and_kill(child, self._asked, probe)
                self.note(killed=killed)
                self._insist_on_none(reasons)
            self._insist_on_none(_refusals(check_answer(stages.check(holder, self._asked)).refusals))

    def _insist_on_a_good_moment(self) -> bool:
        """Say whether the service runs; the place is ours while it does not."""
        config = self._asked.config
        if os.geteuid() != 0:
            raise _Found((reason("not_root", _("holding needs root, or the rights of the service")),))
        self._insist_on_the_place()
        left = StateDir(config.state_dir).read_held()
        if left:
            raise _Found(
                (reason("left_held", _("a daemon that has ended left lease {lease_id} held", lease_id=left.lease_id)),)
            )
        traces.make(config)
        traces.heal(config, self._asked.quiescers)
        try:
            served = service.is_served(config)
        except DaemonSilentError as error:
            raise _Found((reason("service_silent", _("the service runs, but {error}", error=error)),)) from error
        if not served:
            self.note(notes=(_(ROOT_ALONE),))
        else:
            self._place.leave()  # so that the service can hold
        return served

    def _insist_on_the_place(self) -> None:
        if not self._place.take():
            who = service.who_holds(self._asked.config)
            raise _Found((reason("busy", _("the service holds, or prepares a hold, right now{who}", who=who)),))

    @contextmanager
    def _holder(self, served: bool) -> Iterator[Holder]:
        with ExitStack() as stack:
            holder: Holder = ServiceHolder(self._asked.config) if served else stack.enter_context(self._child())
            self.note(through=holder.through)
            yield holder

    @contextmanager
    def _child(self) -> Iterator[ChildHolder]:
        child = ChildHolder(self._config_path, traces.directory(self._asked.config))
        try:
            yield child
        finally:
            child.close()

    def _check(self, holder: Holder) -> CheckAnswer:
        self._asked = replace(self._asked, disks=self._asked.disks or self._found(holder))
        if not self._asked.disks:
            where = self._asked.config.disk_by_id_dir
            raise _Found((reason("no_disk", _("no disk in {where} has a filesystem to hold", where=where)),))
        answer = check_answer(stages.check(holder, self._asked))
        outside = later(
            "{name} writes {path}, which is on no disk of this set: a set without it is never called application"
        )
        notes = tuple(_(outside, name=name, path=path.path) for name, path in listing.outside(answer))
        self.note(disks=self._asked.disks, check=answer, notes=notes)
        self._insist_on_none(_refusals(answer.refusals))
        return answer

    def _found(self, holder: Holder) -> tuple[str, ...]:
        """Choose every disk that an application writes to, or that has a filesystem which may be held."""
        every = Disks(self._asked.config.disk_by_id_dir).attached()
        chosen, left_out = [], []
        for disk in every:
            answer = check_answer(stages.check(holder, replace(self._asked, disks=(disk,))))
            unsafe = [refusal.message for refusal in answer.refusals if refusal.code == "unsafe_mount"]
            written = any(path.disk_id == disk and not path.scratch for one in answer.applications for path in one.paths)
            if written or (answer.filesystems and not unsafe):
                chosen.append(disk)
            elif unsafe:
                left_out.append(_("{disk} was left out: {why}", disk=disk, why=unsafe[0]))
        self.note(notes=tuple(left_out))
        return tuple(chosen)

    def _insist_on_writes(self, probe: Probe) -> None:
        found = probe.failures.items()
        said = later("nothing can be written to {where}: {why}")
        self._insist_on_none(tuple(reason("probe_failed", _(said, where=where, why=why)) for where, why in found))

    def _insist_on_none(self, reasons: tuple[Reason, ...]) -> None:
        if reasons:
            raise _Found(reasons)


def _refusals(found: tuple[Refusal, ...]) -> tuple[Reason, ...]:
    return tuple(reason(refusal.code, refusal.message) for refusal in found)
