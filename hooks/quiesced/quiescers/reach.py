"""What becomes of a driver's errors: the application did not answer, or refused a statement that a hold needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from quiesced.errors import Refused


class Reach:
    """One driver's errors, and how to say in words what each of them means."""

    def __init__(self, lost: tuple[type[Exception], ...], words: Callable[[Exception], str]) -> None:
        self._lost = lost
        self._words = words

    @contextmanager
    def answering(self, name: str) -> Iterator[None]:
        """Turn the driver's errors into Refused(application_unreachable)."""
        try:
            yield
        except self._lost as error:
            raise self.unreachable(name, error) from error

    def unreachable(self, name: str, error: Exception) -> Refused:
        """Say that the application did not answer."""
        return Refused("application_unreachable", f"{name}: {self._words(error) or type(error).__name__}")
