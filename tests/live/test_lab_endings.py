"""However a lab ends - taken down, killed, interrupted, refused - nothing of it stays, and nothing else is touched."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from drivers.lab import cache, lab, rootfs, switch
from drivers.lab.layout import STACKS, Layout, address
from harness.errors import LabError
from tests.support.labs import MARKS, alive, everyone, inhabitants, own_layout, run, traces, up_process

pytestmark = MARKS


@pytest.fixture
def spare():
    """Return the layout of a lab that is down, and take it down whatever the test does."""
    own = own_layout()
    yield own
    lab.down(layout=own)
    shutil.rmtree(own.state, ignore_errors=True)


def test_down_leaves_nothing(spare):
    state = lab.up(layout=spare)
    pids = everyone(spare)
    assert len(pids) >= 10
    assert traces(spare)
    subprocess.run(["nsenter", "-t", str(state.machines["hA"].init.pid), "-m", "-p", "setsid", "-f", "sleep", "54321"],
                   check=True)
    there = inhabitants(pids)
    assert there.keys() > pids
    assert lab.down(layout=spare) >= len(pids)
    assert alive(there) == []
    assert everyone(spare) == set()
    assert traces(spare) == []
    assert lab.down(layout=spare) == 0
    assert lab.status(spare).stacks == ()


TRIXIE = rootfs.folder(Layout.current(), STACKS["trixie"])


@pytest.mark.skipif(not cache.whole(TRIXIE), reason="its root is not built; run: virtmark lab up --stack trixie")
def test_a_second_stack_joins_the_first_and_really_is_another(spare):
    before = lab.up(["bookworm"], layout=spare)
    after = lab.up(["trixie"], layout=spare)
    assert after.stacks == ("bookworm", "trixie")
    assert all(after.machines[name] == machine for name, machine in before.machines.items())
    old, new = after.machines["hA"].versions, after.machines["hC"].versions
    assert old["qemu"] != new["qemu"]
    assert old["libvirt"] != new["libvirt"]
    assert "trixie" in run(spare, "hC", "cat", "/etc/os-release", tools=False).stdout
    assert run(spare, "hC", "fio", "--version").stdout == run(spare, "hA", "fio", "--version").stdout
    assert run(spare, "hA", "ping", "-c", "1", "-W", "5", address("hD")).returncode == 0
    assert not (TRIXIE / "root" / "var" / "lib" / "libvirt" / "qemu" / "domain").exists(), "hosts write above it"
    assert lab.status(spare).up


@pytest.mark.parametrize("moment", ["switch", "client", "hA: starting", "hB", "guests"])
def test_a_killed_up_is_cleaned_by_down(spare, moment):
    with up_process(spare) as process:
        assert any(line.startswith(moment) for line in process.stdout)
        process.kill()
    assert lab.status(spare).leftovers or not lab.status(spare).up
    there = inhabitants(everyone(spare))
    lab.down(layout=spare)
    assert alive(there) == []
    assert everyone(spare) == set()
    assert traces(spare) == []


def test_an_interrupted_up_takes_back_what_it_began(spare):
    with up_process(spare, stderr=subprocess.PIPE) as process:
        assert any(line.startswith("hB: starting") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.stderr.read()
    assert everyone(spare) == set()
    assert [each for each in traces(spare) if each != spare.state] == []
    assert lab.status(spare).leftovers == ()


def test_a_killed_up_is_healed_by_up(spare):
    with up_process(spare) as process:
        assert any(line.startswith("hA: starting") for line in process.stdout)
        process.kill()
    lab.up(layout=spare)
    assert lab.status(spare).up


def test_down_works_after_everything_was_killed(spare):
    lab.up(layout=spare)
    for pid in everyone(spare):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lab.down(layout=spare)
    assert traces(spare) == []


def test_down_works_without_its_state(spare):
    lab.up(layout=spare)
    spare.state_file.unlink()
    assert lab.status(spare).leftovers
    lab.down(layout=spare)
    assert traces(spare) == []


def test_a_failed_up_leaves_nothing_and_touches_nothing_foreign(spare):
    name = spare.called("hB")
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with pytest.raises(LabError, match=f"{name}: exists, but not made by this lab; to remove it: ip netns del"):
            lab.up(layout=spare)
        assert switch.file_of(spare, "hB").exists()
        lab.down(layout=spare)
        assert switch.file_of(spare, "hB").exists()
        assert "not this lab's" in lab.text(lab.status(spare))
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    assert traces(spare) == []


def test_two_ups_at_once_do_not_mix(spare):
    with up_process(spare) as process:
        assert process.stdout.readline()
        with pytest.raises(LabError, match="another virtmark is at work"):
            lab.up(layout=spare)
        process.stdout.read()
    assert lab.status(spare).up
