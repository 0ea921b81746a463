"""The log: one flat JSON object per line on stdout, which SCF delivers to CLS.

CLS makes fields of the first level only, and cuts a line at 8 KB, after which it is no JSON any more (SCF
documentation, logs).
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

MAX_LINE_BYTES = 8_000
_KEPT = 60


class Stream(Protocol):
    """Where lines go: standard output, and whatever is like it."""

    def write(self, text: str, /) -> object:
        """Write some text."""

    def flush(self) -> object:
        """Let go of what is kept back."""


class JsonLog:
    """Writes lines to a stream. Safe from several threads."""

    def __init__(self, stream: Stream, *, common: Mapping[str, object], hidden: Sequence[str]) -> None:
        """``common`` is in every line; ``hidden`` are the secrets that no line may hold."""
        self._stream = stream
        self._common = dict(common)
        self._hidden = tuple(hidden)
        self._lock = threading.Lock()

    def step(self, fields: Mapping[str, object]) -> None:
        """Write one line."""
        fields = {key: self._shown(value) for key, value in flat({**self._common, **fields}).items()}
        with self._lock:
            self._stream.write(line(fields) + "\n")
            self._stream.flush()

    def _shown(self, value: object) -> object:
        if isinstance(value, str):
            for secret in self._hidden:
                value = value.replace(secret, "***")
        return value


def flat(fields: Mapping[str, object]) -> dict[str, object]:
    """Make every value a scalar: what is deeper becomes text. CLS refuses keys that begin with ``_``."""
    return {key.lstrip("_"): _scalar(value) for key, value in fields.items() if value is not None}


def line(fields: Mapping[str, object]) -> str:
    """Write scalars as one line of JSON of at most 8 KB, by cutting the longest texts and saying so."""
    text = _dump(fields)
    shown = dict(fields)
    while len(text.encode()) > MAX_LINE_BYTES:
        longest = max(shown, key=lambda key: len(str(shown[key])))
        if len(str(shown[longest])) <= _KEPT:
            return _dump({"truncated": True, "fields": len(fields)})
        shown[longest] = str(shown[longest])[: max(_KEPT, len(str(shown[longest])) // 2)]
        shown["truncated"] = True
        text = _dump(shown)
    return text


def _dump(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _scalar(value: object) -> object:
    plain = msgspec.to_builtins(value, enc_hook=str)
    if isinstance(plain, bool | int) or (isinstance(plain, float) and math.isfinite(plain)):
        return plain
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()
