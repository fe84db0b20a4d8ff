"""Platforms of the user's own commands, and the simulated cluster: what they move, break and recover."""

import pytest

from harness import scenario
from harness.errors import InputError, TargetError, Unsupported
from harness.model import GuestSize
from harness.protocols import Breaks, Fault, GuestSpec, Migrates, Migration, Protects
from tests.support import platforms

COMMANDS = {"driver": "command", "name": "own", "hosts": [{"name": "one"}], "create": ["true"], "remove": ["true"],
            "machine": "local"}


def spec(life="plain", host=0):
    return GuestSpec(role="sut", size=GuestSize(), life=life, host=host)


@pytest.mark.parametrize(("wrong", "said"), [
    ({"create": ["make", "{gest}"]}, r"\{gest\} stands for nothing"),
    ({"faults": {"guest-hung": {"inject": ["true"]}}}, "unknown kind 'guest-hung'"),
    ({"faults": {"guest-hang": {"inject": []}}}, "faults"),
    ({"machine": "local{"}, "write {{ and }} for braces"),
    ({"creat": ["true"]}, "unknown key 'creat'"),
])
def test_what_is_wrong_in_the_file_is_named(wrong, said):
    with pytest.raises(InputError, match=said):
        scenario.build(COMMANDS | wrong, "test")


def test_own_commands_move_a_guest_and_tell_where_it_is(tmp_path):
    with platforms.ready(platforms.Case("command", "command"), tmp_path) as target, target.guest(spec()) as guest:
        assert target.whereabouts(guest) == [0]
        moved = target.migrate(guest, 1, Migration())
        assert (moved.error, target.whereabouts(guest)) == ("", [1])
        with pytest.raises(Unsupported):
            target.migrate(guest, 2, Migration())


def test_what_is_not_known_where_a_command_needs_it_is_an_error():
    target = scenario.build(COMMANDS | {"faults": {"guest-kill": {"inject": ["kill", "{guest}"]}}}, "test").target
    with pytest.raises(InputError, match="the guest's name, is not known here"), \
            target.fault(Fault(kind="guest-kill"), None):
        pass


@pytest.fixture
def fake():
    target = scenario.target("fake").target
    assert isinstance(target, Breaks)
    assert isinstance(target, Migrates)
    assert isinstance(target, Protects)
    return target


def test_a_simulated_migration_takes_simulated_time(fake):
    with fake.guest(spec("movable")) as guest:
        moved = fake.migrate(guest, 1, Migration())
        assert fake.whereabouts(guest) == [1]
        assert moved.end - moved.start == pytest.approx(moved.counters["total"])
        assert 0 < moved.counters["downtime"] < moved.counters["total"]
    with fake.guest(spec()) as plain, pytest.raises(Unsupported):
        fake.migrate(plain, 1, Migration())


def test_a_simulated_cluster_restarts_a_protected_guest_elsewhere_and_no_other(fake):
    with fake.guest(spec("protected")) as kept, fake.guest(spec()) as lost, \
            fake.fault(Fault(kind="host-power-off"), kept) as injected:
        assert fake.whereabouts(kept) == []
        with pytest.raises(TargetError):
            kept.run(["true"], timeout=10)
        fake.clock.sleep(60)
        assert (list(fake.whereabouts(kept)), list(fake.whereabouts(lost))) == ([1], [])
        assert kept.run(["echo", "back"], timeout=10).stdout == "back\n"
        actions = [event.action for event in fake.chronicle(kept, injected.start)]
        assert actions == ["detected", "fenced", "restarted"]
    assert injected.healed > injected.end


def test_a_simulated_hang_ends_with_its_healing(fake):
    with fake.guest(spec()) as guest:
        with fake.fault(Fault(kind="guest-hang"), guest), pytest.raises(TargetError):
            guest.run(["true"], timeout=10)
        assert guest.run(["echo", "on"], timeout=10).stdout == "on\n"
