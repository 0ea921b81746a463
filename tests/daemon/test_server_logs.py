"""Log lines are flat JSON, and nothing is written while something is held."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from quiesced.logs import LogThread
from tests.waiting import wait_until


@contextmanager
def logger(thread: LogThread) -> Iterator[logging.Logger]:
    log = logging.Logger("quiesced.test")
    log.addHandler(thread.handler)
    yield log
    thread.stop()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_flat_json_with_what_extra_carries() -> None:
    stream = io.StringIO()
    with logger(LogThread(stream, quiet=lambda: False)) as log:
        log.info("held by %s", "nobody", extra={"lease_id": "l1", "elapsed_s": 0.25})
        try:
            raise ValueError("what went wrong")
        except ValueError:
            log.exception("a hold failed")
    first, second = lines(stream)
    assert (first["message"], first["level"], first["lease_id"], first["elapsed_s"]) == (
        "held by nobody",
        "info",
        "l1",
        0.25,
    )
    assert str(first["time"]).endswith("+00:00")
    assert "ValueError: what went wrong" in str(second["error"])
    assert not [value for line in (first, second) for value in line.values() if isinstance(value, (dict, list))]


def test_nothing_is_written_while_something_is_held() -> None:
    stream = io.StringIO()
    held, looked = threading.Event(), threading.Event()
    held.set()

    def quiet() -> bool:
        looked.set()
        return held.is_set()

    with logger(LogThread(stream, quiet)) as log:
        log.info("during the hold")
        assert looked.wait(5)
        assert stream.getvalue() == ""
        held.clear()
        wait_until(stream.getvalue)
    assert lines(stream)[0]["message"] == "during the hold"


def test_when_the_queue_is_full_lines_are_dropped_and_counted() -> None:
    stream = io.StringIO()
    held = threading.Event()
    held.set()
    with logger(LogThread(stream, held.is_set, max_lines=3)) as log:
        for number in range(10):
            log.info("line %d", number)
        held.clear()
    dropped, *written = lines(stream)
    assert dropped["message"] in ("6 log lines dropped", "7 log lines dropped")
    assert len(written) in (3, 4)


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError("nobody reads")

    with logger(LogThread(Gone(), quiet=lambda: False)) as log:
        for _ in range(3):
            log.info("to nobody")
