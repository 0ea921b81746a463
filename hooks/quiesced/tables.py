"""Reading a TOML table strictly: every problem is noted with its path in the file, and none stops the reading."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, TypeVar

from quiesced.permissions import private_problem
from quiesced.words import _

_T = TypeVar("_T")


class Table:
    """One table of a TOML file. What is not taken by ``close`` is a key that nobody knows."""

    def __init__(self, content: object, path: str, problems: list[str]) -> None:
        """Read ``content``; ``path`` names the table in messages, and ``problems`` collects them."""
        self._path = path
        self._problems = problems
        self._content: dict[str, object] = dict(content) if isinstance(content, dict) else {}
        if not isinstance(content, dict):
            self.problem("", _("must be a table"))

    def problem(self, key: str, what: str) -> None:
        """Note that a key is wrong; an empty key is the table itself."""
        name = ".".join(part for part in (self._path, key) if part)
        self._problems.append(f"{name}: {what}" if name else what)

    def names(self) -> tuple[str, ...]:
        """Names of the keys that were not taken yet."""
        return tuple(self._content)

    def table(self, key: str) -> Table:
        """Take a table that must be there."""
        path = ".".join(part for part in (self._path, key) if part)
        if key not in self._content:
            self.problem(key, _("is missing"))
        return Table(self._content.pop(key, {}), path, self._problems)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Take an array of tables; absent is empty."""
        found = self._content.pop(key, [])
        if not isinstance(found, list):
            self.problem(key, _("must be an array of tables: [[{key}]]", key=key))
            return ()
        return tuple(Table(item, f"{key}[{index}]", self._problems) for index, item in enumerate(found))

    def text(self, key: str, default: Optional[str] = None) -> str:
        """Take a non-empty string."""
        value = self._take(key, default)
        if isinstance(value, str) and value:
            return value
        return self._wrong(key, value, _("must be a string that is not empty"), "")

    def one_of(self, key: str, words: Sequence[str], default: str) -> str:
        """Take one of some words."""
        value = self._take(key, default)
        if value in words:
            return str(value)
        return self._wrong(key, value, _("must be one of {words}", words=", ".join(words)), default)

    def path(self, key: str, default: Optional[str] = None) -> Path:
        """Take an absolute path."""
        found = Path(self.text(key, default))
        if not found.is_absolute() and found != Path():
            self.problem(key, _("must be an absolute path, not {path!r}", path=str(found)))
        return found

    def optional_path(self, key: str) -> Optional[Path]:
        """Take an absolute path that need not be there."""
        return self.path(key) if key in self._content else None

    def secret(self, key: str) -> Optional[str]:
        """Take a file that nobody else may read, and return its one line; None when it is not given or cannot be used."""
        file = self.optional_path(key)
        if file is None or not file.is_absolute():
            return None
        problem = private_problem(file)
        if problem:
            self.problem(key, f"{file}: {problem}")
            return None
        return file.read_text(encoding="utf-8").rstrip("\r\n")

    def paths(self, key: str) -> tuple[Path, ...]:
        """Take an array of absolute paths; absent is empty."""
        found = self._content.pop(key, [])
        if isinstance(found, list) and all(isinstance(item, str) and Path(item).is_absolute() for item in found):
            return tuple(Path(item) for item in found)
        self.problem(key, _("must be an array of absolute paths"))
        return ()

    def texts(self, key: str) -> tuple[str, ...]:
        """Take an array of strings, at least one, of which the first is not empty; none has a NUL."""
        value = self._content.pop(key, [])
        found = value if isinstance(value, list) else []
        if found and found[0] and all(isinstance(item, str) and "\0" not in item for item in found):
            return tuple(found)
        self.problem(key, _("must be an array of strings without NUL, the first not empty"))
        return ()

    def seconds(self, key: str, default: Optional[float] = None, *, at_most: float = 3600.0) -> float:
        """Take a number of seconds above 0 and at most ``at_most``."""
        value = self._take(key, default)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and math.isfinite(value) and 0 < value <= at_most:  # type: ignore[arg-type, operator]
            return float(value)  # type: ignore[arg-type]
        return self._wrong(key, value, _("must be seconds above 0 and at most {most_s:g}", most_s=at_most), 1.0)

    def whole(self, key: str, low: int, high: int, default: Optional[int] = None) -> int:
        """Take a whole number in a range."""
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        return self._wrong(key, value, _("must be a whole number from {low} to {high}", low=low, high=high), low)

    def optional_whole(self, key: str, low: int, high: int) -> Optional[int]:
        """Take a whole number in a range that need not be there."""
        return self.whole(key, low, high) if key in self._content else None

    def share(self, key: str, default: float) -> float:
        """Take a number above 0 and at most 1."""
        value = self._take(key, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
            return float(value)
        return self._wrong(key, value, _("must be a share above 0 and at most 1"), default)

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self._take(key, default)
        return value if isinstance(value, bool) else self._wrong(key, value, _("must be true or false"), default)

    def rest(self) -> dict[str, object]:
        """Take everything that is left."""
        left, self._content = self._content, {}
        return left

    def close(self) -> None:
        """Note every key that is left as unknown."""
        for key in self.rest():
            self.problem(key, _("is not a known key; see quiesced.example.toml"))

    def _take(self, key: str, default: object) -> object:
        return self._content.pop(key, default)

    def _wrong(self, key: str, value: object, what: str, instead: _T) -> _T:
        self.problem(key, _("is missing; it {must}", must=what) if value is None else what)
        return instead
