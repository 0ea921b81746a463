"""The demonstration: the same database, snapshotted without quiescing, by hand as documented, and with Quiesce."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quiesce_lab import rivals
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import Trial, by_function, by_rival, run_trial, run_until_lost

DURABILITIES = (0, 1, 2)
SHOWN_DURABILITY = 0
"""The demonstration's own: the setting of servers that trade a second of commits for speed."""
RATE = 2000.0
"""Rows a second over all writers."""
ATTEMPTS = 5
"""How many snapshots the other ways get to lose something."""
Say = Callable[[str], None]


def run(state_dir: Path, output: Path | None, say: Say) -> bool:
    """Run it and write the results; returns whether Quiesce kept its word. Raises LabError."""
    say("Bringing up a small Tencent Cloud, a disk, and a MariaDB server on it ...")
    with stage(state_dir) as here:
        here.host.load.start(RATE)
        results = {"lab": _lab(here, state_dir), **_shown(here, say), "durability": _table(here, say)}
    kept = _kept(results)
    results["kept_its_word"] = kept
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=2) + "\n")
        say(f"Everything in figures: {output}")
    return kept


def _shown(here: Stage, say: Say) -> dict[str, Any]:
    host = here.host
    host.set_durability(SHOWN_DURABILITY)
    host.load.wait_until_acked(2000)
    say(f"Writers commit to {host.disk_ids[0]} (innodb_flush_log_at_trx_commit = {SHOWN_DURABILITY}).")
    results = {}
    for key, words, rival in (
        ("without_quiescing", "CreateSnapshot and nothing else", rivals.without_quiescing),
        ("documented_by_hand", "FTWRL, sync, CreateSnapshot, UNLOCK TABLES", rivals.documented_by_hand),
    ):
        _announce(say, words)
        trial, attempt = run_until_lost(host, by_rival(host, rival), ATTEMPTS)
        results[key] = {**trial.as_json(), "attempt": attempt}
        say(_sentence(trial) + (f" (Snapshot {attempt} of at most {ATTEMPTS}.)" if attempt > 1 else ""))
    _announce(say, "the function fires, Quiesce")
    trial = run_trial(host, by_function(here.fire))
    say(_sentence(trial))
    return {**results, "with_quiescing": trial.as_json()}


def _announce(say: Say, words: str) -> None:
    say(f"\n{words}: taking, restoring onto a new disk, starting a second server on it ...")


def _table(here: Stage, say: Say) -> list[dict[str, Any]]:
    """Prove the same for each setting of durability: a restore by the documented procedure, and one by Quiesce."""
    say("\nThe same for every setting of innodb_flush_log_at_trx_commit:")
    return [_row(here, durability, say) for durability in DURABILITIES]


def _row(here: Stage, durability: int, say: Say) -> dict[str, Any]:
    here.host.set_durability(durability)
    by_hand, attempt = run_until_lost(
        here.host, by_rival(here.host, rivals.documented_by_hand), ATTEMPTS if durability == 0 else 1
    )
    quiesced = run_trial(here.host, by_function(here.fire))
    level = quiesced.taken.said["level"]
    say(
        f"  {durability}: as documented {_lost(by_hand)} lost; with Quiesce {_lost(quiesced)} lost, certificate says {level}"
    )
    return {
        "innodb_flush_log_at_trx_commit": durability,
        "documented_by_hand": {**by_hand.as_json(), "attempt": attempt},
        "with_quiescing": quiesced.as_json(),
    }


def _sentence(trial: Trial) -> str:
    verdict, said = trial.verdict, trial.taken.said
    if not verdict.starts:
        return f"  The second server does not start: {' | '.join(verdict.error_log[-2:])}"
    held = f"  Certificate: {said['level']}, held for {said['hold_ms']} ms, GTID {said['gtid']}.\n" if said else ""
    if verdict.consistent:
        return f"{held}  Nothing was lost: all of {verdict.rows} rows, none from after the hold, no gap."
    return (
        f"{held}  LOST: {verdict.lost} commits that the server had acknowledged before the disk was cut "
        f"({verdict.from_after_the_hold} rows from after the call began, {verdict.gaps} gaps)."
    )


def _lost(trial: Trial) -> str:
    return f"{trial.verdict.lost:>5}" if trial.verdict.starts else "  all"


def _kept(results: dict[str, Any]) -> bool:
    """Judge by the verifier's counts; the certificate only has to agree with them."""
    proofs = [results["with_quiescing"], *(row["with_quiescing"] for row in results["durability"])]
    sound = all(
        proof["level"] == "application"
        and proof["starts"]
        and not (proof["lost"] or proof["from_after_the_hold"] or proof["gaps"] or proof["damage"])
        and not (proof["altered"] or proof["unaccounted"] or proof["committed_during_the_call"])
        for proof in proofs
    )
    return sound and results["without_quiescing"]["lost"] > 0


def _lab(here: Stage, state_dir: Path) -> dict[str, Any]:
    with here.host.database.connect() as session, session.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        version = (cursor.fetchone() or ("unknown",))[0]
    return {
        "form": "loop devices",
        "kernel": platform.release(),
        "database": str(version),
        "filesystem": here.host.layout.fs,
        "images_in_memory": state_dir.is_relative_to("/dev/shm"),
        "create_snapshot_latency_s": here.site.cloud.settings.latency_s["CreateSnapshot"],
        "cut_at": here.site.cloud.settings.cut_at,
    }
