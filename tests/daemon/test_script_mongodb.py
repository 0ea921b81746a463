"""Which calls the MongoDB example makes. A program stands in for mongosh: this is no test of MongoDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.script.quiescer import ScriptQuiescer
from tests.daemon.scenes import SCENE
from tests.daemon.script_holds import EXAMPLES, PLENTY, prepare, program, quiescer, take

COUNTS = """
file, expression = __file__ + '.locks', word
locks = int(open(file).read()) if os.path.exists(file) else 0
locks += ('lock: true' in expression) - ('fsyncUnlock' in expression)
open(file, 'w').write(str(locks))
print(json.dumps({'locked': locks > 0} if 'currentOp' in expression else {'locks': locks}))
"""


@pytest.fixture
def mongodb(tmp_path: Path) -> ScriptQuiescer:
    copy = tmp_path / "mongodb"
    copy.write_bytes((EXAMPLES / "hold_mongodb.py").read_bytes())
    copy.chmod(0o755)
    return quiescer(copy, tmp_path / "marker", program(tmp_path / "mongosh", COUNTS), "--quiet")


def locks(tmp_path: Path) -> int:
    return int((tmp_path / "mongosh.locks").read_text())


def test_it_locks_once_and_unlocks_once(mongodb: ScriptQuiescer, tmp_path: Path) -> None:
    hold = take(mongodb)
    assert (locks(tmp_path), hold.witness().held_by) == (1, "word")
    hold.release()
    mongodb.heal(hold.leftover)
    assert locks(tmp_path) == 0


def test_what_somebody_else_locked_stays_locked(mongodb: ScriptQuiescer, tmp_path: Path) -> None:
    hold = prepare(mongodb)
    (tmp_path / "mongosh.locks").write_text("1")
    assert [refusal.code for refusal in mongodb.check(SCENE).refusals] == ["blocked"]
    with pytest.raises(Refused) as raised:
        hold.quiesce(PLENTY)
    assert (raised.value.code, locks(tmp_path)) == ("blocked", 1)
