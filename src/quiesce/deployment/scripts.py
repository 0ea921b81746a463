"""The shell scripts that run on instances: their variables in front, their text from the files beside this module.

Everything in them can be read later by whoever may call DescribeInvocations. So nothing in them is secret: certificates,
public keys, the program, and the shared secret encrypted to a key that only the instance has (docs/adr/0012).
"""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
PIECE_BYTES = 36_000
"""Base64 of a script is at most 64 KB (SDK, RunCommandRequest.Content), and in the script stands base64 once more."""
_REQUEST = re.compile(r"-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----\n", re.DOTALL)
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n", re.DOTALL)


@dataclass(frozen=True)
class Enrolled:
    """What an instance printed of itself: a certificate request and the key to encrypt to, both in PEM."""

    request: bytes
    public_key: bytes


def enrol(root: str) -> str:
    """Have keys made. ``root``: empty, or a directory below which everything is staged (install.sh --root)."""
    return _script("enrol.sh", root=root)


def read_enrolled(output: str) -> Enrolled | None:
    """Read what ``enrol`` printed; None when it is not all there."""
    request, public_key = _REQUEST.search(output), _PUBLIC_KEY.search(output)
    return Enrolled(request[0].encode(), public_key[0].encode()) if request and public_key else None


def pieces(root: str, bundle: bytes) -> list[str]:
    """Carry a bundle, piece by piece; the order in which they arrive does not matter."""
    parts = [bundle[start : start + PIECE_BYTES] for start in range(0, len(bundle), PIECE_BYTES)]
    return [
        f"{_script('piece.sh', root=root, number=f'{number:04}')}{base64.b64encode(part).decode()}\nPIECE\n"
        for number, part in enumerate(parts)
    ]


def fetch(root: str, url: str) -> str:
    """Have the bundle fetched."""
    return _script("fetch.sh", root=root, url=url)


def place(root: str, *, address: str, key_id: str, encrypted: bytes, certificate: bytes, digest: str, start: bool) -> str:
    """Put everything in its place. ``encrypted``: the shared secret, encrypted; ``digest``: of the bundle, in hex."""
    return _script(
        "place.sh",
        root=root,
        address=address,
        key_id=key_id,
        encrypted=base64.b64encode(encrypted).decode(),
        certificate=certificate.decode(),
        digest=digest,
        start="yes" if start else "no",
    )


def look(root: str) -> str:
    """Look, and change nothing."""
    return _script("look.sh", root=root)


def read_look(output: str) -> dict[str, str]:
    """Read what ``look`` printed."""
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def _script(name: str, **values: str) -> str:
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    return head + (_HERE / name).read_text(encoding="utf-8")
