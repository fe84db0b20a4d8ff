"""A guest and the client's path to it are disturbed in ways that are exactly known, and nothing of it is left."""

import re
import subprocess

import pytest

from drivers.lab import enter, faults
from harness.errors import Unsupported
from harness.model import GuestSize
from harness.protocols import GuestSpec, Migration

pytestmark = pytest.mark.live
SENT = 200


@pytest.fixture(scope="module")
def guest(target):
    with target.guest(GuestSpec(role="sut", size=GuestSize(), life="movable")) as machine:
        yield machine


def pinging(layout, where):
    argv = ["ping", "-n", "-i", "0.05", "-c", str(SENT), "-W", "5", where]
    return subprocess.Popen([*enter.launcher("client", layout, tools=False), *argv], stdout=subprocess.PIPE, text=True)


def test_packets_that_are_dropped_are_counted_one_by_one(layout, target, guest):
    with pinging(layout, guest.address) as echoes:
        lost = target.lose(guest, 0.5, 2.0)
        said = echoes.communicate()[0]
    assert lost.end - lost.start == pytest.approx(2.0, abs=1e-5)
    received = int(re.search(r"(\d+) received", said)[1])
    assert sum(lost.packets.values()) == lost.packets[("icmp", 84)] == SENT - received
    assert 0 < SENT - received < 0.9 * SENT
    assert not faults.tables(layout)


def test_a_guest_stands_still_for_as_long_as_it_is_said(layout, target, guest):
    with pinging(layout, guest.address) as echoes, target.pausing(guest) as pause:
        begin, end = pause(1.0)
        said = echoes.communicate()[0]
    assert end - begin >= 1.0
    slowest = max(map(float, re.findall(r"time=([\d.]+) ms", said))) / 1000
    assert slowest == pytest.approx(end - begin, abs=0.2)
    assert not faults.stopped(layout, "hA")


def test_a_disk_that_is_shared_is_not_copied_along(target, guest):
    with pytest.raises(Unsupported, match="carried"):
        target.migrate(guest, 1, Migration(storage="copied"))
