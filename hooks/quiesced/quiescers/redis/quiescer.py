"""Redis and Valkey: checked, guarded, dumped beforehand where that is how it persists, and held (redis/hold)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from quiesced.errors import Refused
from quiesced.messages import Refusal
from quiesced.quiescers.base import Budget, Report, Scene
from quiesced.quiescers.redis.hold import AOF, ENGINE, RDB, REASONS, RUN_ID, RedisHold, heal
from quiesced.quiescers.redis.session import LOST, Options, Probe, Session, answering, connect

_SETTINGS = ("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename", "logfile")
_ANSWER_S = 0.5
"""How long a probe's answer may take on a server that is not paused."""
_LOOK_EVERY_S = 0.02

Paths = tuple[tuple[str, str], ...]


class RedisQuiescer:
    """See base.Quiescer. ``sleep`` and ``monotonic`` serve the waits before a hold."""

    engine = ENGINE

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._options = options
        self._sleep = sleep
        self._monotonic = monotonic

    def check(self, scene: Scene) -> Report:
        """Look at version, paths, and everything that would refuse a hold."""
        del scene  # there is one way only for each way of persisting
        control = connect(self._options, self.name)
        try:
            with answering(self.name):
                settings, mode = control.config(*_SETTINGS), _mode(control)
                version = str(control.info("server")["redis_version"])
                refusals = tuple(Refusal(code, f"{self.name}: {words}") for code, words in _against(control, mode))
                return Report(version, _paths(settings, mode), refusals, _scratch(settings), mode, REASONS[mode])
        finally:
            control.close()

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> RedisHold:
        """Guard, connect a probe, and write a dump where the data is nowhere else. Nothing is paused."""
        del budget, scene
        control = connect(self._options, self.name)
        try:
            with answering(self.name):
                hold = self._prepared(control)
            register(hold.leftover)
        except BaseException:  # whatever it is goes on, and no connection stays behind
            control.close()
            raise
        return hold

    def _prepared(self, control: Session) -> RedisHold:
        mode = _mode(control)
        for code, words in _against(control, mode):
            raise Refused(code, f"{self.name}: {words}")
        if mode == RDB:
            self._dump(control)
        probe = Probe(self._options)
        try:
            self._insist_on_no_pause(control, probe)
            return RedisHold(self.name, self._options, control, probe, mode, str(control.info("server")["run_id"]))
        except BaseException:  # as above
            probe.close()
            raise

    def _insist_on_no_pause(self, control: Session, probe: Probe) -> None:
        """Somebody else's pause would end with ours, and ours might end with theirs."""
        ends_s = self._monotonic() + _ANSWER_S
        probe.ask()
        while not probe.answered():
            if control.keeps_waiting(probe.id) or self._monotonic() >= ends_s:
                raise Refused("blocked", f"{self.name}: writes are paused already (CLIENT PAUSE); run again later")
            self._sleep(_LOOK_EVERY_S)
        probe.answer()

    def _dump(self, control: Session) -> None:
        """Write a dump and wait for it, so that the one in the hold has little to do."""
        ends_s = self._monotonic() + self._options.bgsave_limit_s
        self._wait_for_dump(control, ends_s)
        if control.info("persistence")["rdb_changes_since_last_save"]:
            control.save()
            self._wait_for_dump(control, ends_s)

    def _wait_for_dump(self, control: Session, ends_s: float) -> None:
        while control.info("persistence")["rdb_bgsave_in_progress"]:
            if self._monotonic() >= ends_s:
                limit_s = self._options.bgsave_limit_s
                raise Refused("not_durable", f"{self.name}: a dump took longer than bgsave_limit_s ({limit_s:g} s)")
            self._sleep(_LOOK_EVERY_S)

    def heal(self, leftover: dict[str, object]) -> None:
        """End the pause that an earlier daemon left, on the same server process only."""
        heal(self._options, leftover.get(RUN_ID), self.name)

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """See base.Quiescer: a pause belongs to no session, so it is looked for with a probe."""
        del leftover
        try:
            control = Session(self._options)
            try:
                probe = Probe(self._options)
                try:
                    self._insist_on_no_pause(control, probe)
                finally:
                    probe.close()
            finally:
                control.close()
        except (*LOST, Refused) as error:
            return (f"{self.name}: {error}",) if not isinstance(error, Refused) else (str(error),)
        return ()


def _mode(control: Session) -> str:
    return AOF if control.info("persistence")["aof_enabled"] else RDB


def _against(control: Session, mode: str) -> Iterator[tuple[str, str]]:
    """Say what speaks against a hold, as (code, words). Raises what LOST names."""
    persistence, replication = control.info("persistence"), control.info("replication")
    if replication["role"] != "master":
        source = f"{replication.get('master_host')}:{replication.get('master_port')}"
        yield "blocked", f"it is a replica of {source}, whose stream no pause stops; snapshot the primary instead"
    if persistence["loading"]:
        yield "blocked", "it is loading its data; run again when it is done"
    if mode == AOF and persistence["aof_last_write_status"] != "ok":
        yield "not_durable", "its last write to the append-only file failed; look at the server's log"
    if mode == RDB and persistence["rdb_last_bgsave_status"] != "ok":
        yield "not_durable", "its last dump failed; look at the server's log, then run BGSAVE"


def _paths(settings: dict[str, str], mode: str) -> Paths:
    """Return where it persists; a link in its directory is followed when its place is looked up."""
    home = Path(settings["dir"])
    found = [("dir", home), ("dbfilename", home / settings["dbfilename"])]
    if mode == AOF:
        found.append(("appenddirname", home / settings.get("appenddirname", settings["appendfilename"])))
    return tuple((role, str(path)) for role, path in found)


def _scratch(settings: dict[str, str]) -> Paths:
    log = settings.get("logfile", "")
    return (("logfile", os.path.normpath(Path(settings["dir"]) / log)),) if log else ()
