"""The error that becomes an answer of the API."""

from __future__ import annotations

from quiesce_lab.errors import LabError


class ApiError(LabError):
    """The API refuses a call with ``code``; sent as HTTP 200 with an Error object, as the platform does."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
