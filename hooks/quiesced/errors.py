"""Every error that the daemon raises on purpose.

QuiescedError
├── ConfigError          the configuration file is wrong; the daemon does not start
├── AlreadyRunningError  another daemon holds by the same state directory; nothing was touched
├── DaemonSilentError    the running daemon gave the command line no usable answer
├── RequestRefused       a request is refused for its form, with an HTTP status; nothing was changed
└── Refused              a hold is refused, with a code of hooks/PROTOCOL.md; nothing is held any more

A message says what was wrong and what to do.
"""

from __future__ import annotations


class QuiescedError(Exception):
    """Root of every error raised on purpose."""


class ConfigError(QuiescedError):
    """The configuration is wrong; ``problems`` names each one with its path in the file."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AlreadyRunningError(QuiescedError):
    """Another daemon holds by the same state directory."""


class RequestRefused(QuiescedError):
    """A request is refused for its form: ``status`` and ``code`` as in hooks/PROTOCOL.md."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Refused(QuiescedError):
    """A hold is refused: ``code`` is one of the refusal codes of hooks/PROTOCOL.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
