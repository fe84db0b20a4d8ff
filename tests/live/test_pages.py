"""A page that the guest's own init serves is there again after a power cut, and gone when nobody wants it any more."""

from contextlib import ExitStack

import pytest

from drivers import witness
from drivers.workloads._machines import open_ports
from tests.support.guests import Outside, kept
from tests.support.labs import eventually

pytestmark = pytest.mark.live


def test_a_page_of_the_labs_guest_is_back_after_a_power_cut(tmp_path):
    with kept(tmp_path) as guest:
        with ExitStack() as stack:
            with guest.machine() as machine:
                port = stack.enter_context(witness.lasting(Outside(), machine, patience=60.0))
                assert port in open_ports(machine, "tcp")
                guest.kill()
            guest.start()
            with guest.machine() as machine:
                eventually(lambda: port in open_ports(machine, "tcp"), 60.0)
        with guest.machine() as machine:
            eventually(lambda: port not in open_ports(machine, "tcp"), 20.0)
            assert machine.run(["test", "-e", "/etc/virtmark/serve"], timeout=60).code
