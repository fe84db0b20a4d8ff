"""A real guest moves between the hosts of the lab, with its disk shared or carried along, and is what it was."""

import os
import signal
import subprocess
import sys

import pytest

from drivers.lab.command import wait
from harness.errors import Unsupported
from harness.model import GuestSize
from harness.protocols import GuestSpec, Migration

pytestmark = pytest.mark.live
# A controller that has a movable guest, says its name, and waits to be killed.
CONTROLLER = """
import sys, time
from harness import scenario
from harness.model import GuestSize
from harness.protocols import GuestSpec
target = scenario.target("lab").target
with target.guest(GuestSpec(role="sut", size=GuestSize(), life="movable")) as guest:
    print(guest.channel.domain.name(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("life", "how"), [
    ("movable", Migration()), ("movable", Migration(transport="direct")), ("carried", Migration(storage="copied")),
])
def test_a_guest_moves_and_is_what_it_was(target, life, how):
    with target.guest(GuestSpec(role="sut", size=GuestSize(), life=life)) as guest:
        guest.run(["sh", "-c", "echo kept >/scratch/kept; sync"], timeout=60).checked()
        boot = guest.read("/proc/sys/kernel/random/boot_id")
        moved = target.migrate(guest, 1, how)
        assert moved.error == ""
        assert moved.counters["total"] > 0
        assert list(target.whereabouts(guest)) == [1]
        assert guest.read("/proc/sys/kernel/random/boot_id") == boot
        assert guest.read("/scratch/kept") == b"kept\n"
        name = guest.channel.domain.name()
    assert not running(target, name)


def test_a_guest_that_stays_cannot_be_migrated(target):
    with target.guest(GuestSpec(role="sut", size=GuestSize())) as guest, pytest.raises(Unsupported, match="movable"):
        target.migrate(guest, 1, Migration())


def test_a_move_that_cannot_be_is_an_answer_and_the_guest_stays(target):
    with target.guest(GuestSpec(role="sut", size=GuestSize(), life="movable")) as guest:
        moved = target.migrate(guest, 0, Migration())      # to where it is
        assert moved.error
        assert list(target.whereabouts(guest)) == [0]
        guest.run(["true"], timeout=60).checked()


def test_a_movable_guest_ends_with_a_controller_that_was_killed(target):
    with subprocess.Popen([sys.executable, "-c", CONTROLLER], stdout=subprocess.PIPE, text=True) as controller:
        try:
            name = controller.stdout.readline().strip()
            assert running(target, name)
        finally:
            os.kill(controller.pid, signal.SIGKILL)
    wait(lambda: not running(target, name), 60.0, "the guest is still there")


def running(target, name):
    """Return on which hosts a guest of that name runs."""
    return [index for index, connection in target._connections()
            if any(domain.name() == name for domain in connection.listAllDomains())]

