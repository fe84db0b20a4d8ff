"""What libvirt is asked for a migration, and how its statistics are read."""

import json
from pathlib import Path

import pytest

from harness import codec
from harness.errors import InputError
from harness.protocols import Migration

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed")
_migration = pytest.importorskip("drivers.targets._migration")

DATA = Path(__file__).parents[2] / "data" / "migration"
REPLY = json.loads((DATA / "job-stats-qemu7.json").read_text())


def test_a_plain_migration_asks_for_no_more_than_it_says():
    asked = _migration.flags(Migration(), same_path=False)
    assert asked == libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
    assert _migration.parameters(Migration(), "") == {}


@pytest.mark.parametrize(("how", "flag"), [
    ({"storage": "copied"}, "NON_SHARED_DISK"), ({"auto_converge": True}, "AUTO_CONVERGE"),
    ({"connections": 2}, "PARALLEL"), ({"compression": True}, "COMPRESSED"), ({"postcopy": True}, "POSTCOPY"),
])
def test_each_way_has_its_flag(how, flag):
    more = _migration.flags(Migration(**how), same_path=False) ^ _migration.flags(Migration(), same_path=False)
    assert more == getattr(libvirt, f"VIR_MIGRATE_{flag}")


def test_limits_are_told_in_the_units_of_libvirt():
    asked = _migration.parameters(codec.convert(Migration, {"bandwidth": "50MiB/s", "connections": 3}, "x"), "tcp:x")
    assert asked == {"bandwidth": 50, "parallel.connections": 3, "migrate_uri": "tcp:x"}


def test_counters_come_in_base_units():
    found = _migration.counters(REPLY)
    assert [found["total"], found["downtime"], found["setup"]] == pytest.approx([1.15, 0.109, 0.002])
    assert (found["transferred"], found["iterations"]) == (114179918.0, 3.0)


def test_a_first_reply_of_zeros_is_asked_again_and_kept():
    zeros = dict.fromkeys(REPLY, 0)
    replies = iter([zeros, {}, REPLY])
    assert _migration.completed(lambda: next(replies)) == [zeros, {}, REPLY]


def test_a_job_that_never_says_more_has_no_counters_of_its_own():
    assert _migration.completed(lambda: {"type": 0}, patience=0.0) == [{"type": 0}]
    assert _migration.counters({"type": 0}) == {}


@pytest.mark.parametrize("wrong", [{"storage": "moved"}, {"connections": 0}, {"bandwidth": "50"}, {"speed": 1}])
def test_a_wrong_way_is_refused(wrong):
    with pytest.raises(InputError):
        codec.convert(Migration, wrong, "x")
