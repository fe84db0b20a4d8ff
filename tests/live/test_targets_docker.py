"""Containers for real: they reach each other, are as large as asked, and never outlive their controller."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.targets.docker import Docker, Engine
from harness import scenario
from harness.errors import TargetError, Unsupported
from harness.model import Bytes, GuestSize
from harness.protocols import GuestSpec
from tests.live.test_targets_libvirt import CONTROLLER
from tests.support import lab

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
SUT = GuestSpec(role="sut", size=GuestSize(vcpus=1, memory=Bytes(256 * 2**20)))
PEER = GuestSpec(role="peer", size=SUT.size)


@pytest.fixture(scope="module")
def target():
    lab.need("hA", "client")
    target = scenario.target("lab-podman").target
    yield target
    target.close()


def containers(target):
    return {each["Names"][0] for each in target._api(0).containers(all=True, filters={"label": "virtmark"})}


def test_containers_and_client_reach_each_other(target):
    with target.guest(SUT) as one, target.guest(PEER) as two, target.client() as client:
        assert len({one.address, two.address, client.address}) == 3
        for near, far in ((one, two), (two, one), (client, one)):
            assert near.run(["ping", "-n", "-c", "1", "-W", "5", far.address], timeout=60).code == 0
        assert one.run(["hostname"], timeout=60).stdout == "sut\n"


def test_a_command_that_leaves_its_input_unread_loses_no_output(target):
    with target.guest(SUT) as guest:
        for given in (b"x", b"x" * 300_000) * 10:
            done = guest.run(["echo", "heard"], timeout=60, stdin=given)
            assert (done.stdout, done.code) == ("heard\n", 0)


def test_a_container_is_limited(target):
    with target.guest(SUT) as guest:
        greedy = "x = []\nfor _ in range(40): x.append(bytearray(b'1') * (16 << 20))\nprint('not limited')"
        done = guest.run(["python3", "-c", greedy], timeout=120)
        assert "not limited" not in done.stdout
        busy = "import time\nend=time.time()+2\nwhile time.time()<end: pass\nprint(time.process_time())"
        both = "python3 -c \"$1\" & python3 -c \"$1\" & wait"
        used = [float(line) for line in guest.run(["sh", "-c", both, "sh", busy], timeout=120).stdout.split()]
        assert sum(used) < 2 * 1.25


def test_tools_write_to_a_volume_unless_told_otherwise(target):
    kinds = {}
    for storage in ("volume", "layer"):
        chosen = Docker(hosts=(Engine(lab="hA"),), storage=storage)
        with chosen.guest(SUT) as guest:
            kinds[storage] = guest.run(["stat", "-f", "-c", "%T", "."], timeout=60).stdout.strip()
            assert guest.run(["pwd"], timeout=60).stdout == "/scratch\n"
        chosen.close()
    assert kinds["layer"] == "overlayfs"
    assert kinds["volume"] != "overlayfs"


def test_facts_tell_podman_from_docker(target):
    facts = target.facts()
    assert facts["vendor"] == "Podman"
    assert facts["accelerator"] == "container"
    assert facts["runtime"] in ("runc", "crun")
    assert facts["storage_driver"] == "overlay"
    assert facts["rootless"] in ("true", "false")


def test_a_killed_controller_leaves_no_container(target):
    before = containers(target)
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, "lab-podman"], cwd=ROOT, stdout=subprocess.PIPE,
                                  text=True)
    assert controller.stdout.readline().startswith("up ")
    mine = {name for name in containers(target) - before if f"-{controller.pid}-" in name}
    assert len(mine) == 1
    controller.send_signal(signal.SIGKILL)
    controller.communicate()
    deadline = time.monotonic() + 60
    while mine & containers(target) and time.monotonic() < deadline:
        pass
    assert not mine & containers(target)


def test_what_the_dead_left_is_removed_and_nothing_else(target):
    script = "from drivers.shell import owner; print(owner.new_name('x'))"
    controller = subprocess.Popen([sys.executable, "-c", script],
                                  cwd=ROOT, stdout=subprocess.PIPE, text=True)
    dead = controller.communicate()[0].strip()
    api = target._api(0)
    api.create_container(target._image, name=dead, entrypoint=["sleep", "1"], labels={"virtmark": "guest"})
    with target.guest(SUT) as guest:
        assert any(dead in line for line in target.clean())
        assert guest.run(["true"], timeout=60).code == 0
    assert target.clean() == []


@pytest.mark.parametrize(("settings", "said"), [
    ({"hosts": (Engine(socket="unix:///no/such/socket"),)}, "no/such/socket"),
    ({"hosts": (Engine(lab="hA"),), "image": "no-such-image"}, "no-such-image"),
    ({"hosts": (Engine(lab="hA"),), "runtime": "no-such-runtime"}, "no-such-runtime"),
])
def test_what_is_not_there_is_told_in_one_line(settings, said):
    lab.need("hA")
    target = Docker(**settings)
    with pytest.raises(TargetError, match=said) as told, target.guest(SUT):
        pass
    assert "\n" not in str(told.value)
    target.close()


def test_an_engine_without_a_shell_has_no_host():
    with pytest.raises(Unsupported), Docker().host(0):
        pass
