"""Each kind of fault on a real guest and on real hosts of the lab: it is there, it is told, it heals, it is gone."""

import re
import time
from contextlib import suppress

import pytest

from drivers.lab import faults, report
from drivers.lab.command import wait
from drivers.lab.layout import Layout, address
from drivers.targets import _faults
from harness.errors import LabError, TargetError
from harness.model import GuestSize
from harness.protocols import Fault, GuestSpec
from harness.units import Seconds, Share
from tests.support import labs

pytestmark = pytest.mark.live
SPEC = GuestSpec(role="sut", size=GuestSize())
WRITE = ["dd", "if=/dev/zero", "of=probe", "bs=4k", "count=8", "oflag=direct"]


@pytest.fixture(scope="module")
def patient(target):
    """A guest for faults that it survives."""
    with target.guest(SPEC) as machine:
        yield machine


@pytest.fixture
def victim(target):
    """A guest for faults that it does not survive."""
    with target.guest(SPEC) as machine:
        yield machine


def told(layout):
    return report.status(layout).faults


def pinged(layout, where, count=1):
    """Return how many of `count` pings from the client are answered."""
    done = labs.run(layout, "client", "ping", "-n", "-i", "0.02", "-c", str(count), "-W", "1", where, tools=False)
    return int(re.search(r"(\d+) received", done.stdout)[1])


def test_every_kind_that_the_lab_offers_has_a_test_here(target):
    tested = {"guest-kill", "guest-panic", "guest-hang", "host-power-off", "host-isolated", "manager-kill",
              "storage-error", "storage-read-only", "storage-slow", "disk-full", "memory-pressure", "packet-loss",
              "packet-delay"}
    assert set(target.faults()) == tested


@pytest.mark.parametrize("kind", ["guest-kill", "guest-panic"])
def test_a_guest_that_dies_is_gone_for_libvirt_too(target, victim, kind):
    with target.fault(Fault(kind=kind), victim) as injected, pytest.raises(TargetError):
        victim.run(["true"], timeout=10)
    assert injected.healed is None
    assert injected.end - injected.start < _faults.PATIENCE


def test_a_hung_guest_answers_nothing_until_it_goes_on(layout, target, patient):
    with target.fault(Fault(kind="guest-hang"), patient) as injected:
        assert pinged(layout, patient.address) == 0
        assert any("guest-hang" in each for each in told(layout))
        assert any("1 processes stopped" in each for each in told(layout))
    labs.eventually(lambda: pinged(layout, patient.address))
    assert told(layout) == ()
    assert injected.healed > injected.end


def test_a_host_without_power_has_no_processes_and_comes_back_as_it_was(layout, target):
    kept = layout.of("hB") / "etc" / "kept"
    kept.write_text("here")
    with target.fault(Fault(kind="host-power-off", host=1), None):
        assert pinged(layout, address("hB")) == 0
        assert any("hB: has no power" in each for each in told(layout))
        assert not report.status(layout).up
    labs.eventually(lambda: pinged(layout, address("hB")))
    labs.eventually(lambda: report.status(layout).up)
    assert told(layout) == ()
    assert kept.read_text() == "here"
    kept.unlink()


def test_an_isolated_host_runs_on_but_nobody_reaches_it(layout, target, patient):
    with target.fault(Fault(kind="host-isolated", host=0), None):
        assert pinged(layout, patient.address) == 0
        assert patient.run(["echo", "inside"], timeout=60).stdout == "inside\n"
        assert any("p-hA is down" in each for each in told(layout))
    labs.eventually(lambda: pinged(layout, patient.address))
    assert told(layout) == ()


def test_a_killed_daemon_is_started_again_by_its_host(layout, target):
    with target.fault(Fault(kind="manager-kill", host=1), None):
        assert any("manager-kill" in each for each in told(layout))
        labs.eventually(lambda: report.status(layout).up)
    assert told(layout) == ()


@pytest.mark.parametrize("kind", ["storage-error", "storage-read-only"])
def test_a_failing_disk_fails_in_the_guest(layout, target, victim, kind):
    with target.fault(Fault(kind=kind), victim):
        assert any(kind in each for each in told(layout))
        with suppress(TargetError):  # its agent may go with the disk
            assert victim.run(WRITE, timeout=30).code
    assert told(layout) == ()
    nodes = _faults.victim(target, victim).monitor("query-named-block-nodes")
    assert _faults.NODE not in {node.get("node-name") for node in nodes}


def test_a_slow_disk_does_so_many_operations_per_second(layout, target, patient):
    def took():
        began = time.monotonic()
        patient.run(WRITE, timeout=60).checked()
        return time.monotonic() - began

    with target.fault(Fault(kind="storage-slow", delay=Seconds(0.5)), patient):
        assert any("storage-slow" in each for each in told(layout))
        limit = _faults.victim(target, patient).domain.blockIoTune("vda")
        assert limit["total_iops_sec"] == 2
        assert took() > 2, "8 writes at 2 a second"
    assert _faults.victim(target, patient).domain.blockIoTune("vda")["total_iops_sec"] == 0


def test_a_full_disk_has_no_room(layout, target, patient):
    def free():
        return int(patient.run(["stat", "-f", "-c", "%a", "."], timeout=60).stdout)

    before = free()
    with target.fault(Fault(kind="disk-full", share=Share(1.0)), patient):
        assert free() < before / 100
        assert any("disk-full" in each for each in told(layout))
    assert free() > 0.95 * before


def test_memory_is_taken_and_given_back(layout, target, patient):
    def total():
        return int(re.search(r"MemTotal:\s+(\d+)", patient.run(["cat", "/proc/meminfo"], timeout=60).stdout)[1])

    before = total()
    with target.fault(Fault(kind="memory-pressure", share=Share(0.3)), patient):
        assert total() < 0.8 * before
    wait(lambda: total() > 0.95 * before, 30.0, "memory")


def test_packets_are_lost(layout, target, patient):
    with target.fault(Fault(kind="packet-loss", share=Share(0.5)), patient):
        assert pinged(layout, patient.address, 100) < 60, "a quarter of 100 comes through both ways"
        assert any("drops packets" in each for each in told(layout))
    labs.eventually(lambda: pinged(layout, patient.address, 20) == 20)
    assert faults.tables(layout) == []


def test_packets_are_held_up(layout, target, patient):
    def least():
        done = labs.run(layout, "client", "ping", "-n", "-i", "0.2", "-c", "5", patient.address, tools=False)
        return float(re.search(r"= ([\d.]+)/", done.stdout)[1]) / 1e3

    with target.fault(Fault(kind="packet-delay", delay=Seconds(0.2)), patient):
        assert least() >= 0.2
    assert "netem" not in patient.run(["tc", "qdisc"], timeout=60).stdout


def test_up_heals_what_can_be_seen_though_nobody_wrote_it_down(layout):
    faults.isolate(layout, "hB")
    faults.lose(layout, f"{faults.TABLE}-test", 0.5, ('iifname "p-hB"', 'oifname "p-hB"'))
    assert len(told(layout)) == 2
    assert len(faults.heal_seen(layout)) == 2
    assert told(layout) == ()


def test_what_is_not_there_cannot_be_broken(layout):
    with pytest.raises(LabError, match="guest none does not run"):
        faults.qemu(Layout.current(), "hA", "none")
