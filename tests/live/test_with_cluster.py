"""A host of the lab loses its power under a protected guest: the cluster fences it and starts the guest elsewhere.

The cluster stands from here on and fences every host that breaks, so the tests of single faults come before.
"""

import json
import time

import pytest

from drivers.lab import cluster, faults, fencing
from drivers.lab.layout import stack_of
from drivers.targets._site import Host
from drivers.targets.libvirt import Libvirt
from harness.errors import VirtmarkError
from harness.model import GuestSize
from harness.protocols import Fault, GuestSpec
from tests.support.lab import need

pytestmark = pytest.mark.live
PATIENCE = 240.0


def test_a_guest_comes_back_on_the_other_host_with_what_it_had_on_disk():
    need("hA", "hB", "client")
    target = Libvirt(hosts=(Host(lab="hA"), Host(lab="hB")), client_machine="lab:client")
    spec = GuestSpec(role="sut", size=GuestSize(vcpus=1), host=1, life="protected")
    try:
        with target.guest(spec) as guest:
            assert list(target.whereabouts(guest)) == [1]
            guest.run(["sh", "-c", "echo kept >/scratch/kept; sync"], timeout=60).checked()
            with target.fault(Fault(kind="host-power-off", host=1), guest) as injected:
                _await(guest)
                assert list(target.whereabouts(guest)) == [0]
                assert guest.read("/scratch/kept") == b"kept\n"
                noticed = [event.action for event in target.chronicle(guest, injected.start)]
            assert [each for each in noticed if each != "detected"] == ["fenced", "restarted"]
            assert injected.healed is not None
        assert not target.whereabouts(guest)
    finally:
        target.close()


def test_a_host_that_is_back_at_once_is_fenced_before_it_starts_and_not_after():
    layout = need("hA", "hB")
    cluster.ensure(layout, "hA")
    before = len(_fencings(layout))
    faults.power_off(layout, "hB")
    faults.power_on(layout, "hB")
    assert cluster.members(layout, stack_of("hA")) == {"hA", "hB"}
    assert [(each["host"], each["was"]) for each in _fencings(layout)[before:]] == [("hB", "off")]


def _fencings(layout):
    log = layout.root / fencing.LOG
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _await(guest):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            guest.run(["true"], timeout=60).checked()
            return
        except VirtmarkError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
