"""A lab whose hosts have two cables: one can be pulled, and traffic finds the other; pulling both isolates the host."""

import re
import shutil

import pytest

from drivers.lab import faults, lab, switch
from drivers.lab.layout import SWITCH, address
from harness.errors import LabError
from tests.support.labs import MARKS, own_layout, run

pytestmark = MARKS
FAILOVER = 20.0     # s at most; with the timing of the lab's spanning tree it is 4


@pytest.fixture(scope="module")
def layout():
    own = own_layout()
    lab.up(layout=own, links=2)
    yield own
    lab.down(layout=own)
    shutil.rmtree(own.state, ignore_errors=True)


def pinged(layout, count):
    """Return how many of `count` echoes, ten a second, come back."""
    done = run(layout, "client", "ping", "-n", "-i", "0.1", "-c", str(count), "-W", "1", address("hA"), tools=False)
    return int(re.search(r"(\d+) received", done.stdout)[1])


def test_both_cables_are_there_and_one_of_them_rests(layout):
    assert {"p-hA", "q-hA"} <= {link.name for link in switch.links(layout, SWITCH)}
    assert pinged(layout, count=3) == 3
    assert faults.redundant(layout)
    assert not lab.status(layout).faults


def test_when_one_is_pulled_traffic_finds_the_other_and_goes_on_when_it_is_back(layout):
    faults.unplug(layout, "hA")
    try:
        assert "sw: interface p-hA is down" in lab.status(layout).faults
        assert 0 < pinged(layout, count=round(FAILOVER * 10)) < FAILOVER * 10
        assert pinged(layout, count=5) == 5
    finally:
        faults.connect(layout, "hA")
    switch.settle(layout, "hA")
    assert not lab.status(layout).faults


def test_a_host_without_both_is_alone(layout):
    faults.isolate(layout, "hA")
    try:
        assert pinged(layout, count=30) == 0
    finally:
        faults.connect(layout, "hA")
    assert pinged(layout, count=round(FAILOVER * 10)) > 0


def test_what_stands_keeps_its_number_of_links(layout):
    assert lab.up(layout=layout).links == 2
    with pytest.raises(LabError, match=r"has 2 link\(s\) a host; run: virtmark lab down"):
        lab.up(layout=layout, links=1)
