"""Reading environment variables strictly: every problem is noted, and none stops the reading.

What each variable means is written at the attribute that it fills (settings); docs/reference/settings.md is made of both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from quiesce.words import _

MIN_SECRET = 16
"""Shortest secret in characters."""
ANY = r"(?s).+"


class Discreet(msgspec.Struct, frozen=True):
    """Base of what is not printed whole: the fields that ``HIDDEN`` names are left out."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.HIDDEN)
        return f"{type(self).__name__}({', '.join(shown)})"


class Key(Discreet, frozen=True):
    """A shared secret and the id by which the other side finds it."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"secret"})

    key_id: str
    secret: bytes


class Reader:
    """Reads variables and collects what is wrong with them; what it returns for a wrong one is never used."""

    def __init__(self, env: Mapping[str, str], code_dir: Path) -> None:
        self._env = env
        self._code_dir = code_dir
        self.problems: list[str] = []

    def optional(self, name: str, what: str = "", pattern: str = ANY) -> str | None:
        """Read a text that need not be there."""
        value = self._env.get(name, "").strip()
        if value and not re.fullmatch(pattern, value):
            self.problems.append(_("{name} must be {what}, not {value!r}", name=name, what=_(what), value=value))
        return value or None

    def text(self, name: str, what: str, pattern: str = ANY) -> str:
        """Read a text that has to be there."""
        value = self.optional(name, what, pattern)
        if value is None:
            self.problems.append(_("{name} is not set: {what}", name=name, what=_(what)))
        return value or ""

    def one_of(self, name: str, values: list[str]) -> str:
        """Read one of some words; unset, the first."""
        value = self.optional(name)
        if value is not None and value not in values:
            self.problems.append(
                _("{name} must be one of {values}, not {value!r}", name=name, values=", ".join(values), value=value)
            )
        return value if value in values else values[0]

    def several(self, name: str, default: str = "", words: Sequence[str] = ()) -> tuple[str, ...]:
        """Read texts separated by commas, of these words if any are given; a text is repeated only where words are given."""
        found = tuple(part.strip() for part in (self.optional(name) or default).split(",") if part.strip())
        strange = [part for part in found if words and part not in words]
        if strange:
            self.problems.append(
                _(
                    "{name} must be of {words}, separated by commas, not {strange!r}",
                    name=name,
                    words=", ".join(words),
                    strange=", ".join(strange),
                )
            )
        return tuple(part for part in found if part not in strange)

    def number(self, name: str, default: float, *, low: float, high: float, whole: bool = False) -> float:
        """Read a number in a range."""
        text = self.optional(name)
        try:
            value = float(text) if text is not None else default
        except ValueError:
            value = math.nan
        if not low <= value <= high or (whole and value != int(value)):
            kind = _("a whole number") if whole else _("a number")
            self.problems.append(
                _(
                    "{name} must be {kind} from {low:g} to {high:g}, not {text!r}",
                    name=name,
                    kind=kind,
                    low=low,
                    high=high,
                    text=text,
                )
            )
            return default
        return value

    def whole(self, name: str) -> int | None:
        """Read a whole number that need not be there."""
        return None if self.optional(name) is None else int(self.number(name, 0, low=0, high=10_000_000, whole=True))

    def file(self, name: str, what: str, default: str | None = None) -> Path:
        """Read the path of a file that has to exist; a relative one starts at the code."""
        value = self.optional(name) or default
        if value is None:
            self.problems.append(
                _("{name} is not set: give the path of {what}, from the code's folder", name=name, what=_(what))
            )
        return self._existing(name, value or "")

    def optional_file(self, name: str) -> Path | None:
        """Read the path of a file that need not be named, but then has to exist."""
        value = self.optional(name)
        return None if value is None else self._existing(name, value)

    def _existing(self, name: str, value: str) -> Path:
        path = self._code_dir / value
        if value and not path.is_file():
            self.problems.append(
                _("{name}: there is no file {path}; put it in the package or correct the path", name=name, path=path)
            )
        return path

    def key(self, name: str, what: str) -> Key:
        """Read ``<key id>:<secret>``; a wrong value is never repeated, because it may be half a secret."""
        key_id, _colon, secret = (self.optional(name) or "").partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key_id) or len(secret) < MIN_SECRET:
            self.problems.append(
                _("{name} must hold {what} as <key id>:<secret>, {secret}", name=name, what=_(what), secret=_secret())
            )
        return Key(key_id, secret.encode())

    def secret(self, name: str) -> bytes | None:
        """Read a secret that need not be there."""
        value = self.optional(name)
        if value is not None and len(value) < MIN_SECRET:
            self.problems.append(_("{name} must hold a secret, {secret}", name=name, secret=_secret()))
        return None if value is None else value.encode()


def _secret() -> str:
    return _("the secret at least {least} characters long (openssl rand -hex 32 makes a good one)", least=MIN_SECRET)
