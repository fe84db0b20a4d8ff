"""Guests through libvirt for real: they reach each other, are as large as asked, and never outlive their controller."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import libvirt
import msgspec
import pytest

from drivers.targets._hypervisor import Hypervisor
from drivers.targets._site import Host, Image, lab_image
from drivers.targets.libvirt import Libvirt
from harness import scenario
from harness.errors import InputError, TargetError
from harness.model import Bytes, GuestSize
from harness.protocols import GuestSpec
from harness.units import Seconds

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
SIZE = GuestSize(vcpus=2, memory=Bytes(384 * 2**20), disk=Bytes(3 * 2**30))
SUT = GuestSpec(role="sut", size=SIZE)
CONTROLLER = """
import sys
from harness import scenario
from harness.model import GuestSize
from harness.protocols import GuestSpec
with scenario.target(sys.argv[1]).target.guest(GuestSpec(role="sut", size=GuestSize())) as guest:
    print("up", guest.address, flush=True)
    guest.run(["sleep", "600"], timeout=600)
"""


def names(uri):
    """Return the domains of our prefix that run, as libvirtd tells."""
    connection = Hypervisor(uri, "").connection
    try:
        return {domain.name() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)}
    finally:
        connection.close()


@pytest.fixture(scope="module")
def machines(target):
    """Two guests on two hosts, booted side by side, and the client."""
    with ExitStack() as stack:
        both = stack.enter_context(target.guests((SUT, GuestSpec(role="peer", size=SIZE, host=1))))
        yield (*both, stack.enter_context(target.client()))


def test_guests_and_client_reach_each_other(machines):
    assert len({machine.address for machine in machines}) == 3
    for one in machines:
        for other in machines:
            done = one.run(["ping", "-n", "-c", "1", "-W", "5", other.address], timeout=60)
            assert done.code == 0, (one.name, other.name, done.stdout)


def test_a_guest_is_as_large_as_asked_for(machines):
    guest = machines[0]
    assert guest.run(["nproc"], timeout=60).stdout == "2\n"
    total = int(re.search(r"MemTotal:\s+(\d+)", guest.run(["cat", "/proc/meminfo"], timeout=60).stdout)[1])
    assert 0.8 * 384 * 1024 < total <= 384 * 1024
    blocks = int(guest.run(["cat", "/sys/class/block/vda/size"], timeout=60).stdout)
    assert blocks * 512 == SIZE.disk
    assert guest.run(["pwd"], timeout=60).stdout == "/scratch\n"


def test_facts_say_what_runs_the_guests(target):
    facts = target.facts()
    assert facts["accelerator"] in ("kvm", "tcg")
    assert facts["domain_type"] == {"kvm": "kvm", "tcg": "qemu"}[facts["accelerator"]]
    assert re.fullmatch(r"pc-q35-\d+\.\d+", facts["machine_type"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["qemu_version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["libvirt_version"])
    assert facts["cpu_model"] in ("maximum", "host-passthrough")
    assert "virtmark.ip" in facts["guest_cmdline"]
    assert facts["image_hash"]


@pytest.mark.parametrize("name", ["lab", "lab-lxc"])
def test_a_killed_controller_leaves_no_guest_and_the_next_one_removes_its_files(layout, name):
    target = scenario.target(name).target
    folder = Path(target._site(0).host.images.replace(str(layout.private), str(layout.of("hA") / "private")))
    target.clean()
    uri = target._daemon(0).uri
    before, files = names(uri), set(os.listdir(folder))
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert controller.stdout.readline().startswith("up ")
    mine = {each for each in names(uri) - before if f"-{controller.pid}-" in each}
    assert len(mine) == 1
    controller.send_signal(signal.SIGKILL)
    controller.communicate()
    deadline = time.monotonic() + 60
    while mine & names(uri) and time.monotonic() < deadline:
        pass
    assert not mine & names(uri)
    left = {each for each in set(os.listdir(folder)) - files if f"-{controller.pid}-" in each}
    assert left
    removed = target.clean()
    assert len(removed) >= len(left)
    assert not left & set(os.listdir(folder))
    target.close()


def test_a_guest_that_never_boots_is_told_with_its_console(layout):
    image = msgspec.structs.replace(lab_image(), cmdline="console=ttyS0 rdinit=/no-such root=/dev/none {address}")
    target = Libvirt(hosts=(Host(lab="hA"),), image=image, boot=Seconds(20))
    wanted = r"takes no commands after 20 s.*console said: .*\|"
    with pytest.raises(TargetError, match=wanted) as told, target.guest(SUT):
        pass
    assert "\n" not in str(told.value)
    target.close()


def test_a_disk_that_is_not_there_is_told(layout):
    target = Libvirt(hosts=(Host(lab="hA"),), image=msgspec.structs.replace(lab_image(), disk="/no/such.qcow2"))
    with pytest.raises(TargetError, match=r"/no/such\.qcow2"), target.guest(SUT):
        pass
    target.close()


def test_a_daemon_that_is_not_there_is_told():
    target = Libvirt(hosts=(Host(uri="qemu+unix:///system?socket=/no/such/socket"),), domain_type="qemu", image=Image())
    with pytest.raises(TargetError, match="does libvirtd run there"), target.guest(SUT):
        pass


def test_a_wrong_placeholder_is_told(layout):
    image = msgspec.structs.replace(lab_image(), cmdline="ip={ip}")
    target = Libvirt(hosts=(Host(lab="hA"),), image=image)
    with pytest.raises(InputError, match="address"), target.guest(SUT):
        pass
    target.close()


def test_no_address_left_is_told(layout):
    host = Host(uri=layout.libvirt_uri("hA"), images=str(layout.shared), addresses="10.77.0.97-10.77.0.97")
    target = Libvirt(hosts=(host,), image=lab_image(), domain_type="qemu", boot=Seconds(60))
    other = Libvirt(hosts=(host,), image=lab_image(), domain_type="qemu")
    with target.guest(SUT) as guest:
        assert guest.address == "10.77.0.97"
        with pytest.raises(TargetError, match="no address"), other.guest(SUT):
            pass
    target.close()
    other.close()


def test_a_guest_that_has_its_own_address_is_asked_for_it(layout):
    cmdline = lab_image().cmdline.format(address="10.77.0.98", prefix=24, name="own")
    host = Host(uri=layout.libvirt_uri("hA"), images=str(layout.shared))
    target = Libvirt(hosts=(host,), image=msgspec.structs.replace(lab_image(), cmdline=cmdline), domain_type="qemu")
    with target.guest(SUT) as guest:
        assert guest.address == "10.77.0.98"
        assert guest.run(["hostname"], timeout=60).stdout == "own\n"
    target.close()


def test_commands_by_ssh(layout):
    target = Libvirt(hosts=(Host(lab="hA"),), commands="ssh")
    with target.guest(SUT) as guest:
        done = guest.run(["sh", "-c", "echo out; echo err >&2; pwd; exit 7"], timeout=60)
        assert (done.code, done.stdout, done.stderr) == (7, "out\n/scratch\n", "err\n")
        guest.write("data", bytes(range(256)) * 1000)
        assert guest.read("data") == bytes(range(256)) * 1000
    target.close()


def test_a_container_is_limited_and_reached(layout):
    target = scenario.target("lab-lxc").target
    size = GuestSize(vcpus=1, memory=Bytes(256 * 2**20))
    with target.guest(GuestSpec(role="sut", size=size)) as guest, target.client() as client:
        assert client.run(["ping", "-n", "-c", "1", "-W", "5", guest.address], timeout=60).code == 0
        groups = guest.run(["cat", "/proc/self/cgroup"], timeout=60).stdout
        assert "lxc" in groups or "virtmark" in groups
        greedy = "import time\nx = []\nfor _ in range(40): x.append(bytearray(b'1') * (16 << 20))\nprint('not limited')"
        done = guest.run(["python3", "-c", greedy], timeout=120)
        assert "not limited" not in done.stdout
        assert done.code == 137
        busy = "import time\nend=time.time()+2\nwhile time.time()<end: pass\nprint(time.process_time())"
        both = "python3 -c \"$1\" & python3 -c \"$1\" & wait"
        used = [float(line) for line in guest.run(["sh", "-c", both, "sh", busy], timeout=120).stdout.split()]
        assert sum(used) < 2 * 1.25
    target.close()
