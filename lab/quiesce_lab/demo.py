"""The demonstration: the same databases, snapshotted without quiescing, by hand as documented, and with Quiesce."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quiesce_lab import rivals
from quiesce_lab.layouts import LAYOUTS
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import Trial, by_function, by_rival, run_trial, run_until_broken

DURABILITIES = (0, 1, 2)
MARIADB = "mariadb"
HAVE_A_DOCUMENTED_HOLD = (MARIADB, "two-disks", "mysql")
"""Tencent documents a hold by hand for MySQL alone."""
RATE = 2000.0
"""Rows a second over all writers, where there is one disk; several are written to as fast as they take it."""
ATTEMPTS = 8
"""How many snapshots the other ways get to lose something."""
Say = Callable[[str], None]


def run(state_dir: Path, output: Path | None, say: Say, engine: str = MARIADB) -> bool:
    """Run it and write the results; returns whether Quiesce kept its word. Raises LabError."""
    say("Bringing up a small Tencent Cloud, its disks, and a database under load ...")
    with stage(state_dir, layout=LAYOUTS[engine]) as here:
        for application in here.host.applications:
            application.load.start(0.0 if len(LAYOUTS[engine].paths) > 1 else RATE)
        results = {"lab": _lab(here, state_dir, engine), **_shown(here, say, engine)}
        results["durability"] = _table(here, say) if engine == MARIADB else []
    kept = _kept(results)
    results["kept_its_word"] = kept
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=2) + "\n")
        say(f"Everything in figures: {output}")
    return kept


def _shown(here: Stage, say: Say, engine: str) -> dict[str, Any]:
    host = here.host
    if len(host.disk_ids) == 1:  # with several disks the pair breaks on strict servers, too
        for application in host.applications:
            application.relax()
    for load in host.loads:
        load.wait_until_acked(800)
    say(f"Writers commit to {', '.join(host.disk_ids)}: {', '.join(one.version for one in host.applications)}.")
    results = {}
    for key, words, rival in (
        ("without_quiescing", "CreateSnapshot and nothing else", rivals.without_quiescing),
        ("documented_by_hand", "the application's own lock by hand, sync, CreateSnapshot", rivals.documented_by_hand),
    ):
        if key == "documented_by_hand" and engine not in HAVE_A_DOCUMENTED_HOLD:
            continue
        _announce(say, words)
        trial, attempt = run_until_broken(host, by_rival(host, rival), ATTEMPTS)
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
    by_hand, attempt = run_until_broken(
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
    held = f"  Certificate: {said['level']}, held for {said['hold_ms']} ms; {_how(said)}.\n" if said else ""
    if verdict.consistent:
        return f"{held}  Nothing was lost: all of {verdict.rows} rows, none from after the hold, no gap."
    return (
        f"{held}  LOST: {verdict.lost} commits that the server had acknowledged before the disk was cut "
        f"({verdict.from_after_the_hold} rows from after the call began, {verdict.gaps} gaps)."
    )


def _how(said: Mapping[str, Any]) -> str:
    """How each application was held, and at which position."""
    parts = []
    for name, position in said["positions"].items():
        at = ", ".join(f"{key} {value}" for key, value in position.items())
        parts.append(f"{name} by {said['modes'][name] or 'its lock'} at {at}")
    return "; ".join(parts)


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
    bare = results["without_quiescing"]
    broken = bare["lost"] or bare["gaps"] or bare["damage"] or not bare["starts"]
    return sound and bool(broken)


def _lab(here: Stage, state_dir: Path, engine: str) -> dict[str, Any]:
    return {
        "form": "loop devices",
        "engine": engine,
        "kernel": platform.release(),
        "database": ", ".join(application.version for application in here.host.applications),
        "disks": len(here.host.disk_ids),
        "filesystem": here.host.layout.fs,
        "images_in_memory": state_dir.is_relative_to("/dev/shm"),
        "create_snapshot_latency_s": here.site.cloud.settings.latency_s["CreateSnapshot"],
        "cut_at": here.site.cloud.settings.cut_at,
    }
