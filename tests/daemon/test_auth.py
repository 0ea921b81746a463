"""Only holders of a key get in, only now, and each request once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from quiesced.auth import WINDOW_S, Gate, Signed, sign, signature
from quiesced.errors import RequestRefused

EXAMPLE = json.loads((Path(__file__).parents[2] / "hooks" / "messages" / "signing-example.json").read_text())
KEYS = {EXAMPLE["key"]: EXAMPLE["secret"].encode(), "next": b"the key that replaces the first one"}
BODY: bytes = EXAMPLE["body"].encode()
SIGNED = Signed(EXAMPLE["key"], str(EXAMPLE["timestamp"]), EXAMPLE["nonce"], EXAMPLE["signature"])


@dataclass
class Clock:
    """Wall clock and monotonic clock of one machine."""

    now_s: float = float(EXAMPLE["timestamp"])
    monotonic_s: float = 1000.0

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.monotonic_s += seconds


def gate(clock: Clock | None = None, max_nonces: int = 100) -> Gate:
    clock = clock or Clock()
    return Gate(KEYS, now=lambda: clock.now_s, monotonic=lambda: clock.monotonic_s, max_nonces=max_nonces)


def admit(gate: Gate, signed: Signed = SIGNED, method: str = "POST", path: str = "/v1/release", body: bytes = BODY) -> None:
    gate.admit(method, path, signed, body)


def signed(nonce: str, key: str = "next", timestamp: int = EXAMPLE["timestamp"], path: str = "/v1/release") -> Signed:
    made = signature(KEYS[key], "POST", path, BODY, timestamp=str(timestamp), nonce=nonce)
    return Signed(key, str(timestamp), nonce, made)


def code_of(gate: Gate, signed: Signed, **changed: object) -> str:
    with pytest.raises(RequestRefused) as raised:
        admit(gate, signed, **changed)  # type: ignore[arg-type]
    assert raised.value.status == 401
    return raised.value.code


def test_the_example_of_the_protocol_is_let_in() -> None:
    text = EXAMPLE["text"].splitlines()
    assert text[:4] == ["POST", "/v1/release", str(EXAMPLE["timestamp"]), EXAMPLE["nonce"]]
    admit(gate())


def test_what_we_sign_ourselves_is_let_in() -> None:
    Gate(KEYS).admit("GET", "/v1/status", sign("next", KEYS["next"], "GET", "/v1/status", b""), b"")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key_id": "other"}, "unknown_key"),
        ({"key_id": ""}, "unknown_key"),
        ({"key_id": "next"}, "bad_signature"),
        ({"timestamp": str(EXAMPLE["timestamp"] + 1)}, "bad_signature"),
        ({"timestamp": "now"}, "bad_signature"),
        ({"timestamp": ""}, "bad_signature"),
        ({"nonce": "Zx3kq0V8m2Lr7TtY5wBm"}, "bad_signature"),
        ({"nonce": "short"}, "bad_signature"),
        ({"nonce": "x" * 65}, "bad_signature"),
        ({"signature": ""}, "bad_signature"),
        ({"signature": EXAMPLE["signature"].upper()}, "bad_signature"),
        ({"signature": "\udcff"}, "bad_signature"),
    ],
)
def test_a_header_that_was_changed_is_refused(changed: dict[str, str], code: str) -> None:
    assert code_of(gate(), replace(SIGNED, **changed)) == code


@pytest.mark.parametrize(
    "changed", [{"method": "GET"}, {"path": "/v1/quiesce"}, {"body": BODY + b" "}], ids=["method", "path", "body"]
)
def test_a_signature_is_good_for_one_request_only(changed: dict[str, object]) -> None:
    assert code_of(gate(), SIGNED, **changed) == "bad_signature"


@pytest.mark.parametrize("ahead_s", [-WINDOW_S, WINDOW_S])
def test_a_clock_at_the_edge_of_the_window_is_good_enough(ahead_s: int) -> None:
    admit(gate(), signed("n" * 16, timestamp=EXAMPLE["timestamp"] + ahead_s))


@pytest.mark.parametrize("ahead_s", [-WINDOW_S - 1, WINDOW_S + 1])
def test_a_clock_further_off_is_refused(ahead_s: int) -> None:
    assert code_of(gate(), signed("n" * 16, timestamp=EXAMPLE["timestamp"] + ahead_s)) == "clock_skew"


def test_a_request_is_let_in_once() -> None:
    only = gate()
    admit(only)
    assert code_of(only, SIGNED) == "replayed"


@pytest.mark.parametrize("ahead_s", [-WINDOW_S, 0, WINDOW_S])
def test_a_replay_is_refused_for_as_long_as_its_timestamp_is_good(ahead_s: int) -> None:
    clock = Clock()
    only = gate(clock)
    request = signed("n" * 16, timestamp=EXAMPLE["timestamp"] + ahead_s)
    admit(only, request)
    for _ in range(3 * WINDOW_S // 10):
        clock.pass_time(10)
        assert code_of(only, request) in ("replayed", "clock_skew")


def test_a_refused_request_does_not_use_up_its_nonce() -> None:
    only = gate()
    code_of(only, replace(SIGNED, signature="0" * 64))
    admit(only)


def test_when_the_memory_for_nonces_is_full_it_refuses_rather_than_forgets() -> None:
    clock = Clock()
    only = gate(clock, max_nonces=3)
    for number in range(3):
        admit(only, signed(f"nonce-number-{number:04}"))
    assert code_of(only, signed("nonce-number-0003", path="/v1/quiesce"), path="/v1/quiesce") == "replayed"
    assert code_of(only, signed("nonce-number-0000")) == "replayed"
    clock.pass_time(2 * WINDOW_S + 2)
    admit(only, signed("nonce-number-0004", timestamp=int(clock.now_s), path="/v1/quiesce"), path="/v1/quiesce")


def test_a_full_memory_keeps_no_hold_from_being_released() -> None:
    only = gate(max_nonces=1)
    admit(only, signed("nonce-number-0000"))
    admit(only, signed("nonce-number-0001"))
    assert code_of(only, replace(signed("nonce-number-0002"), signature="0" * 64)) == "bad_signature"


def test_no_secret_and_no_signature_is_shown_in_a_repr() -> None:
    assert EXAMPLE["signature"] not in repr(SIGNED)
