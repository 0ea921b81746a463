"""Scripts that stay and witness: the worked example on a real file, and scripts that misbehave."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import HeldBy
from quiesced.quiescers.script.parts import Stays
from quiesced.quiescers.script.quiescer import ScriptQuiescer
from tests.daemon.scenes import SCENE
from tests.daemon.script_holds import EXAMPLES, PLENTY, calls, prepare, program, quiescer, take
from tests.waiting import wait_until

WITNESS = {
    "session": "s",
    "position": {"bytes": "1"},
    "lock_shown": True,
    "lock_evidence": "seen",
    "durable": True,
    "durable_evidence": "fsync",
}
PROMISE = json.dumps({"paths": [{"role": "log", "path": "/data/log"}]})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    lock, log = tmp_path / "queue.lock", tmp_path / "queue.log"
    lock.touch()
    log.write_text("one\n")
    return lock, log


@pytest.fixture
def example(tmp_path: Path, files: tuple[Path, Path]) -> ScriptQuiescer:
    copy = tmp_path / "append-only"
    copy.write_bytes((EXAMPLES / "hold_append_only.py").read_bytes())
    copy.chmod(0o755)
    return quiescer(copy, *files)


def writable(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_the_example_keeps_writers_out_and_shows_it(example: ScriptQuiescer, files: tuple[Path, Path]) -> None:
    report = example.check(SCENE)
    assert (report.paths, report.mode) == ((("log", str(files[1])), ("lock", str(files[0]))), "session")
    hold = prepare(example)
    assert writable(files[0]), "nothing is held by a preparation"
    hold.quiesce(PLENTY)
    first, second = hold.witness(), hold.witness()
    assert not writable(files[0])
    hold.release()
    assert writable(files[0])
    assert hold.held_by is HeldBy.LOCK
    assert first == second
    assert first.session_alive and first.lock_shown and first.durable and first.position["bytes"] == "4"


def test_an_append_that_ignores_the_lock_moves_the_position(example: ScriptQuiescer, files: tuple[Path, Path]) -> None:
    hold = take(example)
    first = hold.witness()
    files[1].write_text("one\ntwo\n")
    assert hold.witness().position != first.position
    hold.release()


@pytest.mark.parametrize("releases", [1, 2, 0])
@pytest.mark.parametrize("dies", ["before", "during", "after"])
def test_whenever_the_script_dies_nothing_stays_held(
    example: ScriptQuiescer, files: tuple[Path, Path], dies: str, releases: int
) -> None:
    hold = prepare(example)
    (fd,) = hold.sockets()
    (session,) = [part.session.pid for part in hold._parts if isinstance(part, Stays)]
    if dies == "before":
        os.kill(session, signal.SIGKILL)
        with pytest.raises(Refused, match=r"has ended|without an answer|does not listen"):
            hold.quiesce(PLENTY)
    else:
        hold.quiesce(PLENTY)
    if dies == "during":
        os.kill(session, signal.SIGKILL)
        wait_until(lambda: hold.watched().too_many)
        seen = hold.witness()
        assert not (seen.session_alive or seen.lock_shown or seen.durable or seen.position)
    for _ in range(releases):
        hold.release()
    if not releases and dies != "before":
        with socket.socket(fileno=os.dup(fd)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)  # as the guardian does
        example.heal(hold.leftover)
    wait_until(lambda: writable(files[0]))
    hold.release()


def test_the_guardians_shutdown_is_the_scripts_word_to_let_go(example: ScriptQuiescer, files: tuple[Path, Path]) -> None:
    hold = take(example)
    duplicate = socket.socket(fileno=os.dup(hold.sockets()[0]))
    duplicate.shutdown(socket.SHUT_RDWR)
    duplicate.close()
    wait_until(lambda: writable(files[0]))
    hold.release()


def test_a_daemon_that_is_killed_lets_go_of_its_scripts(
    tmp_path: Path, example: ScriptQuiescer, files: tuple[Path, Path]
) -> None:
    code = (
        "import sys, time; from tests.daemon.script_holds import quiescer, take; "
        "hold = take(quiescer(*sys.argv[1:])); print('held', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'hooks'}"}
    argv = [sys.executable, "-c", code, str(tmp_path / "append-only"), *map(str, files)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as daemon:
        assert daemon.stdout and daemon.stdout.readline() == b"held\n"
        assert not writable(files[0])
        daemon.kill()
    wait_until(lambda: writable(files[0]))


def test_an_orphan_that_does_not_let_go_is_killed_by_the_next_daemon(tmp_path: Path) -> None:
    held = quiescer(staying(tmp_path / "queue", "print('ready', flush=True)\ntime.sleep(60)"))
    hold = prepare(held)
    held.heal(hold.leftover)
    wait_until(lambda: hold.watched().too_many)
    assert calls(tmp_path / "queue") == ["release"]
    hold.release()


def staying(path: Path, body: str) -> Path:
    """Write a script that promises a witness and does this when it is started to quiesce."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    head = f"if word == 'check':\n    print({PROMISE!r})\nelif word == 'release':\n    note(word)\nelse:\n"
    return program(path, head + indented)


def answering(path: Path, *lines: object) -> Path:
    """Write a script that stays, and says these lines to what it is asked."""
    said = "\n".join(f"sys.stdin.readline(); print({line!r}, flush=True)" for line in lines)
    return staying(path, f"print('ready', flush=True)\n{said}\nsys.stdin.readline()")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["held"], "not one JSON object"),
        (["{}"], "session: is missing"),
        ([json.dumps({**WITNESS, "level": "application"})], "level: is not a field"),
        ([json.dumps({**WITNESS, "lock_shown": "yes"})], "lock_shown: must be true or false"),
        ([json.dumps({**WITNESS, "lock_shown": False})], "holds nothing"),
        (["x" * 100_000], "said more than"),
        ([], "ended without an answer"),
    ],
)
def test_a_script_whose_answer_is_no_witness_is_refused(tmp_path: Path, lines: list[str], says: str) -> None:
    hold = prepare(quiescer(answering(tmp_path / "queue", *lines)))
    with pytest.raises(Refused, match=says):
        hold.quiesce(PLENTY)
    hold.release()


def test_a_script_that_promised_and_is_not_ready_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="first line must be 'ready'"):
        prepare(quiescer(staying(tmp_path / "queue", "print(1, flush=True)\ntime.sleep(60)"), timeout_s=0.5))


def test_a_script_that_hangs_at_the_second_witness_shows_nothing(tmp_path: Path) -> None:
    answers = f"sys.stdin.readline(); print({json.dumps(WITNESS)!r}, flush=True)\n" * 2  # to quiesce, and to one witness
    hangs = staying(tmp_path / "queue", f"print('ready', flush=True)\n{answers}import time\ntime.sleep(60)")
    hold = take(quiescer(hangs, timeout_s=1.0))
    first = hold.witness()
    assert first.lock_shown
    second = hold.witness()
    assert "did not answer in time" in second.lock_evidence
    assert replace(second, lock_evidence="", durable_evidence="") != first and not second.session_alive
    hold.release()
