"""``quiesce trigger``: start a run from a pipeline, wait for it, and say by the exit status what it got."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import click
import requests

from quiesce.commands.exits import Exit
from quiesce.commands.verdict import RUNNING, exit_status, shown
from quiesce.request import sign
from quiesce.words import _

KEY_VARIABLE, URL_VARIABLE = "QUIESCE_HTTP_KEY", "QUIESCE_URL"
POLL_S = 2.0
REQUEST_TIMEOUT_S = 310.0
"""A function answers within its own timeout; SCF gives a function URL's caller 300 s (SCF documentation)."""


@dataclass(frozen=True)
class Function:
    """A function URL, and the key that its callers sign with."""

    url: str
    key: bytes

    def start(self, policy: str, idempotency_key: str) -> tuple[int, dict[str, Any]]:
        """Ask for a run; returns the HTTP status and the body. Raises requests.RequestException or ValueError."""
        body = json.dumps({"policy": policy}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        headers.update(self._signed(idempotency_key, body))
        answer = requests.post(f"{self.url}/runs", data=body, headers=headers, timeout=REQUEST_TIMEOUT_S)
        return answer.status_code, dict(answer.json())

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask what a run got, by the path that its answer named."""
        answer = requests.get(self.url + path, headers=self._signed("", path.encode()), timeout=REQUEST_TIMEOUT_S)
        return answer.status_code, dict(answer.json())

    def _signed(self, idempotency_key: str, content: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        return {"X-Quiesce-Timestamp": at, "X-Quiesce-Signature": sign(self.key, at, idempotency_key, content)}


@click.command()
@click.argument("policy")
@click.option("--url", envvar=URL_VARIABLE, required=True, help=f"The function's URL; {URL_VARIABLE} is read otherwise.")
@click.option("--run-key", default="", help="Makes several calls one run: a pipeline's id. Without it each is its own.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until a run that workers have is finished.")
@click.option("--timeout", "timeout_s", type=float, default=900.0, show_default=True, help="How long to wait, in seconds.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def trigger(policy: str, url: str, run_key: str, wait: bool, timeout_s: float, output: str) -> None:
    """Start a run of POLICY and say what it got.

    The key is read from QUIESCE_HTTP_KEY. Exit status: 0 the level asked for was reached, 3 it is weaker or not all, 5
    refused or no answer, 6 not finished in time, 20 a release could not be confirmed.
    """
    key = os.environ.get(KEY_VARIABLE, "").encode()
    if not key:
        click.echo(_("no key: set {key_variable} to the secret that the function has", key_variable=KEY_VARIABLE), err=True)
        sys.exit(Exit.UNUSABLE)
    function = Function(url.rstrip("/"), key)
    try:
        status, body = function.start(policy, run_key or uuid.uuid4().hex)
        if wait and status in (202, 409) and "path" in body:
            body = _wait(function, body, timeout_s)
    except (requests.RequestException, ValueError) as error:
        click.echo(_("{url} gave no answer that can be read: {error}", url=url, error=error), err=True)
        sys.exit(Exit.REFUSED)
    click.echo(json.dumps(body, indent=2) if output == "json" else shown(body))
    sys.exit(exit_status(body))


def _wait(function: Function, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Ask until every instance has what it was asked for, or the time is over: what is missing then is not there."""
    ends_s = time.monotonic() + timeout_s
    path = str(body["path"])
    while time.monotonic() < ends_s:
        status, body = function.ask(path)
        if status >= 400 and "targets" not in body:
            return body
        left = [target for target in body["targets"] if not target["snapshots"] or target["status"] in RUNNING]
        if not left:
            return body
        click.echo(
            _("{done} of {count} instances are done", done=len(body["targets"]) - len(left), count=len(body["targets"])),
            err=True,
        )
        time.sleep(min(POLL_S, max(0.0, ends_s - time.monotonic())))
    return body
