"""Which control groups a machine has."""

import shutil
import threading
from pathlib import Path

import pytest

from drivers.lab import cgroups
from drivers.lab.cgroups import Hierarchies, parse

DATA = Path(__file__).parents[3] / "data" / "lab"


def test_version_1_beside_an_idle_version_2():
    found = parse((DATA / "mountinfo-hybrid.txt").read_text())
    assert found.v2 is None
    assert found.controllers.split() == ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"]
    assert Path("/sys/fs/cgroup/memory") in found.roots
    assert cgroups.missing(found) == []


def test_version_2_alone():
    found = parse((DATA / "mountinfo-v2.txt").read_text())
    assert found == Hierarchies((), Path("/sys/fs/cgroup"))
    assert found.roots == (Path("/sys/fs/cgroup"),)


def test_controllers_that_share_a_mount():
    found = parse("33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n")
    assert found.v1 == (("cpu,cpuacct", Path("/sys/fs/cgroup/cpu,cpuacct")),)
    assert "memory" in cgroups.missing(found)
    assert "cpu" not in cgroups.missing(found)


def test_a_machine_without_control_groups():
    assert parse("") == Hierarchies()
    assert set(cgroups.missing(Hierarchies())) == set(cgroups.WANTED_V2)


@pytest.fixture
def tree(tmp_path):
    """A version 2 tree as plain files: what it says about reading and removing holds for any file system."""
    group = tmp_path / "virtmark-hA"
    (group / "init").mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
    (group / "cgroup.procs").write_text("0\n11\n")
    (group / "init" / "cgroup.procs").write_text("12\n13\n")
    (group / "init" / "cgroup.freeze").write_text("1\n")
    return Hierarchies((), tmp_path)


def test_members_are_all_processes_below_a_group(tree):
    assert cgroups.members(tree, "virtmark-hA") == {11, 12, 13}
    assert cgroups.members(tree, "virtmark-hB") == set()


def test_freezing_is_seen_and_undone(tree):
    assert cgroups.frozen(tree, "virtmark-hA")
    cgroups.thaw(tree, "virtmark-hA")
    assert not cgroups.frozen(tree, "virtmark-hA")


def test_controllers_that_are_not_offered_are_missing(tree):
    (tree.v2 / "cgroup.controllers").write_text("cpu memory\n")
    assert cgroups.missing(tree) == ["cpuset", "io", "pids"]


def test_groups_that_go_away_while_they_are_read_are_passed_over(tree):
    """As a guest's do when it is killed; the walk of pathlib raised then."""
    group, over = tree.v2 / "virtmark-hA", threading.Event()

    def churn():
        while not over.is_set():
            (group / "machine" / "guest" / "vcpu0").mkdir(parents=True)
            (group / "machine" / "guest" / "cgroup.freeze").write_text("0\n")
            shutil.rmtree(group / "machine")

    guests = threading.Thread(target=churn)
    guests.start()
    try:
        assert all(cgroups.members(tree, "virtmark-hA") == {11, 12, 13} and cgroups.frozen(tree, "virtmark-hA")
                   for _ in range(500))
    finally:
        over.set()
        guests.join()


def test_a_switch_that_is_gone_when_it_is_read_says_nothing(tree):
    (tree.v2 / "virtmark-hA" / "init" / "cgroup.freeze").unlink()
    (tree.v2 / "virtmark-hA" / "cgroup.freeze").symlink_to("gone")
    assert not cgroups.frozen(tree, "virtmark-hA")
