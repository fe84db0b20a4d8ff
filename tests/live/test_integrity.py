"""What a guest promised is there after its QEMU was killed; where it must not be, the loss is found."""

import os

import pytest

from drivers import witness
from drivers.workloads._integrity import FILE, writing
from tests.support.guests import Outside, kept

pytestmark = pytest.mark.live
RECORD = 4096
ENOUGH = 200          # promises before the power goes
KILLS = int(os.environ.get("VIRTMARK_TEST_KILLS", "1"))


def write_until(lab, guest, promised, **how):
    """Write in the guest, kill it after `promised` promises, boot it again and compare."""
    with guest.machine() as machine:
        before = size(machine)
        with writing(lab, machine, interval=0.002, **how) as writer:
            while size(machine) < before + promised * RECORD:
                lab.clock.sleep(0.05)
            guest.kill()
            killed = lab.clock.now()
    guest.start()
    with guest.machine() as machine:
        return writer.compare(machine), killed


def size(machine):
    return int(machine.run(["sh", "-c", f"stat -c %s {FILE} || echo 0"], timeout=60).stdout)


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_guest_that_is_killed_loses_no_promise(kill, tmp_path):
    lab = Outside()
    with kept(tmp_path) as guest:
        for _ in range(2):      # the second time over the records of the first
            found, killed = write_until(lab, guest, ENOUGH)
            print(found)
            assert found.acked >= ENOUGH
            assert found.lost == ()
            assert (found.reordered, found.duplicate, found.missing) == (0, 0, 0)
            assert found.rpo(killed) == 0


def test_a_writer_that_promises_too_early_is_found_out(tmp_path):
    lab = Outside()
    with kept(tmp_path) as guest:
        found, killed = write_until(lab, guest, ENOUGH, careless=True)
    print(found.acked, len(found.lost), found.rpo(killed))
    assert found.reason.startswith("data-loss: ")
    assert found.rpo(killed) > 0


def test_a_disk_that_ignores_flushes_is_told_from_one_that_does_not(tmp_path):
    """QEMU's `unsafe` cache keeps what the format needs in memory: the guest's own fdatasync is not enough."""
    lab = Outside()
    with kept(tmp_path, cache="unsafe") as guest:
        found, _ = write_until(lab, guest, ENOUGH)
    print(found.acked, len(found.lost), found.torn)
    assert found.reason.startswith("data-loss: ")


def test_the_witness_costs_little(tmp_path):
    with kept(tmp_path) as guest, guest.machine() as machine:
        assert witness.install(machine) == witness.PROGRAM      # the image carries it
        with machine.start(witness.sweep(32 << 20, 20e6)) as running:
            machine.run(["sleep", "3"], timeout=60)
            lines = witness.swept(running.stop().stdout)
        assert lines[-1].final
        assert lines[-1].checked >= lines[-1].pages
        assert lines[-1].mismatches == 0
