"""Every error that Quiesce raises on purpose.

QuiesceError
├── RequestError      the event or HTTP request is refused; nothing was touched
├── SettingsError     an environment variable is missing or wrong; nothing was touched
├── PolicyError       the policy file is wrong, or its arithmetic is unsafe; nothing was touched
├── CertificateError  what was given holds no certificate that can be checked
├── DeploymentError   what is to be deployed or installed, or a place for keys, cannot be used; nothing was asked for
├── UnfinishedError   a part of a run is left; deliver it again, and what is there is found and the rest is made
├── AgentError        the hook on an instance did not give an answer that can be used
├── NotifyError       a receiver of messages did not take one; that changes nothing
└── CloudError        the cloud refused a call, or the answer was lost
    └── UnavailableError  this account does not have what was asked for; nothing was done

A message says what was wrong and what to do. What a caller can act on is an attribute, never a substring.
"""

from __future__ import annotations


class QuiesceError(Exception):
    """Root of every error raised on purpose."""


class RequestError(QuiesceError):
    """The event or HTTP request is refused before anything was touched.

    ``status`` is the HTTP status that an HTTP caller gets.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class SettingsError(QuiesceError):
    """An environment variable of the function is missing or wrong."""


class PolicyError(QuiesceError):
    """The policy file is wrong; ``problems`` names each one with its path in the file."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class CertificateError(QuiesceError):
    """What was given holds no certificate of a known version, or no usable key."""


class DeploymentError(QuiesceError):
    """A deployment file, a package, or a directory of keys cannot be used, or what is there cannot become what is wanted."""


class UnfinishedError(QuiesceError):
    """A part of a run is left for another delivery, which SCF makes of itself a minute after an error."""


class AgentError(QuiesceError):
    """The hook on an instance gave no usable answer.

    ``answered`` is true when the hook did answer and refused the request for its form (wrong key, replay, bad
    message), so that nothing was changed there. When false, the request may have been carried out.
    """

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class NotifyError(QuiesceError):
    """A receiver of messages did not take one; the text never holds its address. ``again``: once more may help."""

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class CloudError(QuiesceError):
    """The cloud refused a call, or its answer was lost.

    ``code`` is Tencent Cloud's error code. ``ambiguous`` is true when the call may have been carried out all the same.
    """

    def __init__(self, message: str, *, code: str, ambiguous: bool) -> None:
        super().__init__(message)
        self.code = code
        self.ambiguous = ambiguous


class UnavailableError(CloudError):
    """This account does not have what was asked for: nothing was done, and another way may do."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code, ambiguous=False)
