"""The function's own client against the daemon's own server: keys and certificates change without a gap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from quiesce.adapters.hook_client import HookClient
from quiesce.errors import AgentError
from quiesce.model import Limits
from quiesce.settings import HookSettings
from quiesce.variables import Key
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.hook_caller import Site, serving
from tests.function.hook_calls import QUIESCE
from tests.function.settings_for import hook_settings

OLD, NEW = Key("2026-10", b"the secret of last month"), Key("2026-11", b"the secret of this month")


@dataclass(frozen=True)
class Caller:
    site: Site
    keeper: FakeKeeper
    settings: HookSettings

    def holds(self, key: Key) -> bool:
        """Ask for a hold with this key, and take it back."""
        self.keeper.held = None
        settings = msgspec.structs.replace(self.settings, key=key)
        client = HookClient("127.0.0.1", settings, Limits(2.0, 10.0))
        try:
            return client.quiesce(QUIESCE).state == "held"
        except AgentError:
            return False
        finally:
            client.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@contextmanager
def daemon(site: Site, *keys: Key, client_ca: Path | None = None) -> Iterator[Caller]:
    keeper = FakeKeeper()
    keeper.may_hold.set()
    ca = site.directory / "ca.pem"
    site.authority.cert_pem.write_to_path(str(ca))
    with serving(keeper, site.listen(client_ca), keys={key.key_id: key.secret for key in keys}) as port:
        yield Caller(site, keeper, hook_settings(port, ca))


def test_while_one_key_replaces_another_both_are_good(site: Site) -> None:
    with daemon(site, OLD) as caller:
        assert (caller.holds(OLD), caller.holds(NEW)) == (True, False)
    with daemon(site, OLD, NEW) as caller:
        assert (caller.holds(OLD), caller.holds(NEW)) == (True, True)
    with daemon(site, NEW) as caller:
        assert (caller.holds(OLD), caller.holds(NEW)) == (False, True)


def test_the_id_of_one_key_with_the_secret_of_another_is_refused(site: Site) -> None:
    with daemon(site, OLD, NEW) as caller:
        assert not caller.holds(Key(OLD.key_id, NEW.secret))
    assert caller.keeper.asked == []


def test_a_client_certificate_is_demanded_and_shown(site: Site, tmp_path: Path) -> None:
    callers = Site(tmp_path)
    client_ca, certificate, key = (tmp_path / name for name in ("client-ca.pem", "function.pem", "function.key"))
    callers.authority.cert_pem.write_to_path(str(client_ca))
    issued = callers.authority.issue_cert("function")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    with daemon(site, NEW, client_ca=client_ca) as caller:
        assert not caller.holds(NEW)
        assert caller.keeper.asked == []
        shown = msgspec.structs.replace(caller.settings, client_certificate=certificate, client_key=key)
        assert Caller(site, caller.keeper, shown).holds(NEW)
