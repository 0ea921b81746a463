"""The runner that stands for SCF: its environment, its limits, its ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from quiesce_lab.scf import EXITED, OK, OUT_OF_MEMORY, RAISED, TIMED_OUT, Function, Invoked
from tests.waiting import wait_until


def function(tmp_path: Path, body: str, *, memory_mib: int = 256, time_limit_s: float = 20.0) -> Function:
    """Deploy a handler whose body is given."""
    code = tmp_path / "code"
    code.mkdir()
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (code / "index.py").write_text(f"import os, sys, time\ndef main_handler(event, context):\n{lines}")
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "dependency.py").write_text("answer = 42\n")
    return Function(
        code_dir=code,
        environment={"QUIESCE_OWN": "mine"},
        packages=(layer,),
        secret_id="AKIDexample",
        secret_key="example",
        region="ap-guangzhou",
        memory_mib=memory_mib,
        time_limit_s=time_limit_s,
    )


def invoke(tmp_path: Path, body: str, event: object = None) -> Invoked:
    return function(tmp_path, body).invoke(event)


def test_the_handler_gets_event_and_context_and_its_answer_comes_back(tmp_path: Path) -> None:
    done = invoke(tmp_path, "return {'event': event, 'limit': context['time_limit_in_ms']}", {"Type": "Timer"})
    assert done.status == OK
    assert done.value == {"event": {"Type": "Timer"}, "limit": 20_000}
    assert not done.error


def test_it_finds_its_variables_and_its_layer_and_nothing_of_the_lab(tmp_path: Path) -> None:
    os.environ["QUIESCE_LAB_ONLY"] = "leaks"
    try:
        done = invoke(tmp_path, "import dependency\nreturn [dict(os.environ), dependency.answer, os.getcwd(), sys.path]")
    finally:
        del os.environ["QUIESCE_LAB_ONLY"]
    variables, answer, folder, path = done.value
    assert variables["TENCENTCLOUD_RUNENV"] == "SCF"
    assert variables["TENCENTCLOUD_SECRETID"] == "AKIDexample"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "x"
    assert variables["QUIESCE_OWN"] == "mine"
    assert "QUIESCE_LAB_ONLY" not in variables
    assert (answer, folder) == (42, str(tmp_path / "code"))
    assert not [entry for entry in path if entry.endswith("/lab") or "quiesce_lab" in entry]


def test_every_invocation_is_a_fresh_process(tmp_path: Path) -> None:
    deployed = function(tmp_path, "count = getattr(sys, 'seen', 0) + 1\nsys.seen = count\nreturn [count, os.getpid()]")
    first, second = deployed.invoke(None).value, deployed.invoke(None).value
    assert first[0] == second[0] == 1
    assert first[1] != second[1]


def test_what_it_prints_is_its_log(tmp_path: Path) -> None:
    done = invoke(tmp_path, """print('{"step": "plan"}')\nprint('to stderr', file=sys.stderr)\nreturn None""")
    assert sorted(done.log) == ["to stderr", '{"step": "plan"}']
    assert done.steps == ({"step": "plan"},)


def test_an_exception_is_430_with_its_traceback(tmp_path: Path) -> None:
    done = invoke(tmp_path, "raise ValueError('no such policy')")
    assert done.status == RAISED
    assert "ValueError: no such policy" in done.error


def test_a_process_that_exits_is_439(tmp_path: Path) -> None:
    assert invoke(tmp_path, "os._exit(0)").status == EXITED


def test_the_time_limit_kills_without_running_finally(tmp_path: Path) -> None:
    body = "try:\n    time.sleep(60)\nfinally:\n    print('finally')"
    done = function(tmp_path, body, time_limit_s=0.5).invoke(None)
    assert done.status == TIMED_OUT
    assert done.log == ()
    assert 0.5 <= done.duration_s < 5


def test_the_memory_limit_kills(tmp_path: Path) -> None:
    body = "hoard = []\nwhile True:\n    hoard.append(b'x' * (1 << 20) + os.urandom(1))\n    time.sleep(0.005)"
    done = function(tmp_path, body, memory_mib=64).invoke(None)
    assert done.status == OUT_OF_MEMORY
    assert 64 < done.peak_rss_mib < 128


def test_the_peak_is_seen_also_when_the_memory_was_given_back(tmp_path: Path) -> None:
    done = invoke(tmp_path, "hoard = b'x' * (60 << 20)\ndel hoard\ntime.sleep(0.1)\nreturn None")
    assert 60 < done.peak_rss_mib < 120


def test_it_can_be_killed_at_a_chosen_moment(tmp_path: Path) -> None:
    invocation = function(tmp_path, "print('holding', flush=True)\ntime.sleep(60)").start(None)
    wait_until(lambda: "holding" in invocation.lines, timeout_s=10)
    invocation.kill()
    done = invocation.wait()
    assert done.status == EXITED
    assert done.value is None


def test_a_big_answer_comes_back_whole(tmp_path: Path) -> None:
    assert len(invoke(tmp_path, "return 'x' * (1 << 20)").value) == 1 << 20


def test_the_function_ends_when_the_lab_is_killed(tmp_path: Path) -> None:
    """The lab's watcher dies with the lab, so the limits no longer end it."""
    pid_file = tmp_path / "pid"
    deployed = function(tmp_path, f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    lab = os.fork()
    if lab == 0:  # stands for the lab
        deployed.start(None)
        signal.pause()
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), timeout_s=10)
    os.kill(lab, signal.SIGKILL)
    os.waitpid(lab, 0)
    pid = int(pid_file.read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout_s=5)


def test_it_runs_on_the_interpreter_it_is_given(tmp_path: Path) -> None:
    assert invoke(tmp_path, "return sys.executable").value == sys.executable
