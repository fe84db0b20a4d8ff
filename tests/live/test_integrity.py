"""What a guest promised is there after its QEMU was killed; where it must not be, the loss is found."""

import os
from collections import Counter

import pytest

from drivers import ledger as client
from drivers import witness
from drivers.workloads._integrity import FILE, writing
from drivers.workloads._ledger import database, keeping
from harness.model import Outcome
from tests.support.guests import Outside, kept

pytestmark = pytest.mark.live
RECORD = 4096
ENOUGH = 200          # promises before the power goes
ROWS, PORT = 100, 5432      # numbers inserted before the power goes
PATIENCE = 180.0      # s
KILLS = int(os.environ.get("VIRTMARK_TEST_KILLS", "1"))


def write_until(lab, guest, promised, **how):
    """Write in the guest, kill it after `promised` promises, boot it again and compare."""
    with guest.machine() as machine:
        before = size(machine)
        with writing(lab, machine, interval=0.002, **how) as writer:
            until = lab.clock.now() + PATIENCE
            while size(machine) < before + promised * RECORD:
                assert lab.clock.now() < until, "the writer writes too little"
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


def test_a_database_whose_guest_is_killed_keeps_its_word(tmp_path):
    """Nothing acknowledged is lost; a row removed behind its back, the control, is."""
    lab = Outside()
    with kept(tmp_path, forwards=(PORT,)) as guest:
        here = guest.ports[PORT]
        with guest.machine() as machine, database(lab, machine, port=PORT), \
                keeping(lab, "127.0.0.1", here) as ledger:
            until = lab.clock.now() + PATIENCE
            while rows(lab, here) < ROWS:
                assert lab.clock.now() < until, "the database takes too few rows"
                lab.clock.sleep(0.2)
            guest.kill()
        history = ledger.history()
        guest.start()
        with guest.machine() as machine, database(lab, machine, port=PORT):
            judged = ledger.judge(lab.client(), "127.0.0.1", here)
            told = [one for one in history if one.action == "insert" and one.outcome is Outcome.OK]
            sql(lab, here, f"DELETE FROM numbers WHERE number = {told[-1].key}")
            damaged = ledger.judge(lab.client(), "127.0.0.1", here)
    span = max(one.end for one in history) - min(one.start for one in history)
    print(judged, Counter((one.action, str(one.outcome)) for one in history), len(history) / span)
    assert judged.reason == ""
    assert judged.undecided == ()
    assert judged.acked >= ROWS
    assert damaged.lost == (told[-1].key,)
    assert damaged.reason.startswith("data-loss: 1 acknowledged")


def sql(lab, port, statement):
    argv = [*client.client("127.0.0.1", str(port)), "-c", statement]
    return lab.client().run(argv, timeout=60).checked().stdout


def rows(lab, port):
    return int(sql(lab, port, "SELECT count(*) FROM numbers"))


def test_the_witness_costs_little(tmp_path):
    with kept(tmp_path) as guest, guest.machine() as machine:
        assert witness.install(machine) == witness.PROGRAM      # the image carries it
        with machine.start(witness.sweep(32 << 20, 20e6)) as running:
            machine.run(["sleep", "3"], timeout=60)
            lines = witness.swept(running.stop().stdout)
        assert lines[-1].final
        assert lines[-1].checked >= lines[-1].pages
        assert lines[-1].mismatches == 0
