"""The embedded lab for real: two hosts, a guest, a container, and nothing left behind.

Everything here happens in a lab of its own (its own state directory, hence its own names), beside one that may be up.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from drivers.lab import accelerator, cgroups, enter, lab, machines, needs, switch
from drivers.lab.command import wait
from drivers.lab.layout import (
    CLIENT,
    CONTAINER_IMAGE,
    CONTAINER_NETWORK,
    GUEST_CMDLINE,
    READY,
    SWITCH,
    Layout,
    address,
    guest_address,
    guest_mac,
)
from drivers.lab.state import began, living, load
from harness.errors import LabError

LACKS = needs.lacks(["bookworm"])
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(bool(LACKS), reason="; ".join(f"{lack.what} missing: {lack.remedy}" for lack in LACKS)),
]
ROOT = Path(__file__).parents[2]
SPACES = ("net", "mnt", "uts", "ipc", "pid", "cgroup")


def own_layout():
    return Layout(Path(tempfile.mkdtemp(prefix="virtmark-test-", dir="/var/tmp")), Layout.current().cache)


@pytest.fixture(scope="module")
def layout():
    own = own_layout()
    lab.up(layout=own)
    yield own
    lab.down(layout=own)
    shutil.rmtree(own.state, ignore_errors=True)


@pytest.fixture
def spare():
    """Return the layout of a lab that is down, and take it down whatever the test does."""
    own = own_layout()
    yield own
    lab.down(layout=own)
    shutil.rmtree(own.state, ignore_errors=True)


def run(layout, machine, *argv, tools=True):
    return subprocess.run([*enter.launcher(machine, layout, tools=tools), *argv], capture_output=True, text=True,
                          timeout=60, check=False)


def eventually(true, seconds=20.0):
    """Wait until `true()`; a test that waits in vain fails here."""
    wait(true, seconds, "the test")


def spaces_of(pids):
    """Return the namespaces of processes that are not also this process's."""
    found = set()
    for pid in pids:
        for kind in SPACES:
            with contextlib.suppress(OSError):
                found.add((kind, os.readlink(f"/proc/{pid}/ns/{kind}")))
    return found - {(kind, os.readlink(f"/proc/self/ns/{kind}")) for kind in SPACES}


def in_spaces(spaces):
    """Return the processes on this machine that are in one of those namespaces."""
    living = [int(name) for name in os.listdir("/proc") if name.isdigit() and began(int(name)) is not None]
    return [pid for pid in living if spaces_of([pid]) & spaces]


def traces(layout):
    """Return everything on this machine that bears the name or the path of this lab."""
    names = list(switch.NAMES.glob(f"{layout.prefix}*")) if switch.NAMES.is_dir() else []
    groups = [path for root in cgroups.current().roots for path in root.glob(f"{layout.prefix}*")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
              if layout.prefix in line or str(layout.state) in line]
    return [*names, *groups, *mounts, *([layout.state] if layout.state.exists() else [])]


def everyone(layout):
    return {pid for machine in (*machines.EVERYONE, SWITCH) for pid in machines.members(layout, machine)}


def test_status_tells_what_stands(layout):
    found = lab.status(layout)
    assert found.up
    assert not found.faults
    assert not found.leftovers
    assert [each.name for each in found.machines] == [CLIENT, "hA", "hB"]
    host = found.machines[1]
    assert host.stack == "bookworm"
    assert host.versions.keys() == {"libvirt", "qemu", "podman"}
    assert host.containers == ()
    assert found.accelerator in ("kvm", "tcg")
    assert "hB" in lab.text(found)


def test_each_machine_has_namespaces_of_its_own(layout):
    state = living(layout)
    seen = [spaces_of([each.init.pid]) for each in state.machines.values()]
    assert all(len(each) == len(SPACES) for each in seen)
    assert len(set.union(*seen)) == len(seen) * len(SPACES)


def test_the_machines_reach_each_other(layout):
    for machine in ("hA", "hB"):
        assert run(layout, CLIENT, "ping", "-c", "1", "-W", "5", address(machine)).returncode == 0
    assert run(layout, "hA", "ping", "-c", "1", "-W", "5", address("hB")).returncode == 0


def test_a_second_up_changes_nothing(layout):
    before = load(layout)
    assert lab.up(layout=layout) == before


def test_the_guests_own_programs_run_on_a_host(layout):
    done = run(layout, "hA", "sh", "-c", "fio --version; cat /etc/os-release; echo here > /scratch/x; hostname")
    assert done.stdout.startswith("fio-3")
    assert "bookworm" in done.stdout
    assert done.stdout.endswith("hA\n")
    assert (layout.scratch("hA") / "x").read_text() == "here\n"
    assert layout.scratch("hA").stat().st_dev == layout.shared.stat().st_dev


def test_storage_is_shared_or_private_at_the_same_path(layout):
    for host in ("hA", "hB"):
        run(layout, host, "sh", "-c", f"echo {host} >> {layout.shared}/both; echo {host} > {layout.private}/own",
            tools=False)
    assert (layout.shared / "both").read_text() == "hA\nhB\n"
    assert (layout.of("hA") / "private" / "own").read_text() == "hA\n"
    assert (layout.of("hB") / "private" / "own").read_text() == "hB\n"


def test_commands_end_with_their_controller(layout):
    script = ("import subprocess, sys; from drivers.lab import enter; from drivers.lab.layout import Layout;"
              "subprocess.run([*enter.launcher('hA', Layout.current()), 'sh', '-c', 'echo go; exec sleep 987654'])")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          env={**os.environ, "VIRTMARK_STATE": str(layout.state)}) as controller:
        assert controller.stdout.readline() == "go\n"
        assert "987654" in run(layout, "hA", "ps", "ax", tools=False).stdout
        controller.kill()
    eventually(lambda: "987654" not in run(layout, "hA", "ps", "ax", tools=False).stdout)


def domain(layout, name, ip, disk):
    kind = accelerator.domain_type(layout)
    return f"""<domain type='{kind}'><name>{name}</name><memory unit='MiB'>384</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type><kernel>{layout.image}/vmlinuz</kernel>
      <initrd>{layout.image}/initrd.img</initrd>
      <cmdline>{GUEST_CMDLINE} virtmark.ip={ip}/24 virtmark.name={name}</cmdline></os>
      <features><acpi/></features><cpu mode='{"host-passthrough" if kind == "kvm" else "maximum"}'/>
      <devices><disk type='file'><driver name='qemu' type='qcow2' cache='none'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk><serial type='file'><source path='{disk}.console'/></serial>
      <interface type='bridge'><source bridge='br0'/><mac address='{guest_mac(ip)}'/><model type='virtio'/></interface>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>"""


class Agent:
    def __init__(self, running):
        self.running = running

    def ask(self, what, **arguments):
        import libvirt_qemu

        command = json.dumps({"execute": what, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(self.running, command, 10, 0))["return"]

    def answers(self):
        import libvirt

        with contextlib.suppress(libvirt.libvirtError):
            return self.ask("guest-ping") == {}
        return False

    def sh(self, script):
        pid = self.ask("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})["pid"]
        answers = []
        eventually(lambda: answers.append(self.ask("guest-exec-status", pid=pid)) or answers[-1]["exited"])
        return base64.b64decode(answers[-1].get("out-data", "")).decode()


def test_a_guest_boots_answers_moves_to_the_other_host_and_shuts_down(layout):
    libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed")
    libvirt.registerErrorHandler(lambda *_: None, None)
    disk, ip = layout.shared / "g1.qcow2", guest_address(3)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                    str((layout.image / "base.qcow2").resolve()), str(disk), "3G"], check=True)
    here, there = (libvirt.open(layout.libvirt_uri(host)) for host in ("hA", "hB"))
    running = here.createXML(domain(layout, "g1", ip, disk), 0)
    try:
        agent = Agent(running)
        eventually(agent.answers, 90)
        eventually(lambda: READY in Path(f"{disk}.console").read_text(errors="replace"), 60)
        assert ip in agent.sh("ip -4 -o addr show dev eth0")
        assert int(agent.sh("df -k / | tail -1").split()[1]) > 2.5 * 2**20, "the file system grew with its disk"
        assert run(layout, CLIENT, "ping", "-c", "1", "-W", "5", ip).returncode == 0
        key = ["-i", f"{layout.image}/id_ed25519", "-o", f"UserKnownHostsFile={layout.image}/known_hosts"]
        ssh = ["ssh", "-F", "none", "-o", "BatchMode=yes", *key, f"root@{ip}"]
        login = run(layout, CLIENT, *ssh, "hostname", tools=False)
        assert (login.stdout, login.returncode) == ("g1\n", 0), login.stderr
        assert lab.status(layout).machines[1].guests == ("g1",)
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_UNSAFE
        running.migrateToURI3(layout.migration_uri("hB"), {}, flags)
        running = there.lookupByName("g1")
        assert Agent(running).sh("echo moved") == "moved\n"
        running.shutdown()
        eventually(lambda: not there.listAllDomains(), 60)
    finally:
        for each in (*here.listAllDomains(), *there.listAllDomains()):
            each.destroy()


def test_a_container_runs_with_limits_and_an_address_of_the_lab(layout):
    docker = pytest.importorskip("docker", reason="the docker SDK is not installed")
    with contextlib.closing(docker.DockerClient(base_url=f"unix://{layout.podman_socket('hA')}")) as client:
        first, second = (client.containers.run(CONTAINER_IMAGE, detach=True, mem_limit="64m", nano_cpus=250_000_000)
                         for _ in range(2))
        try:
            first.reload()
            ip = first.attrs["NetworkSettings"]["Networks"][CONTAINER_NETWORK]["IPAddress"]
            assert second.exec_run(["ping", "-c", "1", "-W", "5", ip]).exit_code == 0
            assert run(layout, CLIENT, "ping", "-c", "1", "-W", "5", ip).returncode == 0
            limits = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
            code, said = first.exec_run(["sh", "-c", f"cat {limits} 2>/dev/null; fio --version"])
            assert b"fio-3" in said
            assert str(64 * 2**20).encode() in said
            assert code == 0
            assert len(lab.status(layout).machines[1].containers) == 2
        finally:
            for each in (first, second):
                each.remove(force=True)


def test_only_what_really_boots_counts_as_an_accelerator(layout):
    inside, image = enter.launcher("hA", layout, tools=False), layout.image.resolve()
    assert accelerator.boots(inside, image, "tcg", limit=60)
    assert not accelerator.boots(inside, image, "hax", limit=60)
    assert not accelerator.boots(inside, image, "tcg", limit=0.05)


def test_faults_are_seen(layout):
    state = living(layout)
    subprocess.run(["ip", "-n", layout.called(SWITCH), "link", "set", "p-hB", "down"], check=True)
    os.kill(state.machines["hA"].init.pid, signal.SIGSTOP)
    try:
        faults = lab.status(layout).faults
    finally:
        os.kill(state.machines["hA"].init.pid, signal.SIGCONT)
        subprocess.run(["ip", "-n", layout.called(SWITCH), "link", "set", "p-hB", "up"], check=True)
    assert any("p-hB" in each for each in faults)
    assert any(each.startswith("hA") and "stopped" in each for each in faults)
    eventually(lambda: not lab.status(layout).faults)


def test_up_heals_a_dead_daemon_and_a_dead_host(layout):
    before = living(layout)
    assert run(layout, "hA", "pkill", "-KILL", "-x", "libvirtd", tools=False).returncode == 0
    os.kill(before.machines["hB"].init.pid, signal.SIGKILL)
    found = lab.status(layout)
    assert not found.up
    assert [each.daemon for each in found.machines] == [False, False, False]
    said = []
    after = lab.up(layout=layout, say=said.append)
    assert any("libvirtd was dead" in line for line in said)
    assert lab.status(layout).up
    assert after.machines["hA"].init == before.machines["hA"].init
    assert after.machines["hB"].init != before.machines["hB"].init
    assert run(layout, CLIENT, "ping", "-c", "1", "-W", "5", address("hB")).returncode == 0


def test_down_leaves_nothing(spare):
    state = lab.up(layout=spare)
    pids = everyone(spare)
    spaces = spaces_of(pids)
    assert len(pids) >= 10
    assert traces(spare)
    subprocess.run(["nsenter", "-t", str(state.machines["hA"].init.pid), "-m", "-p", "setsid", "-f", "sleep", "54321"],
                   check=True)
    assert lab.down(layout=spare) >= len(pids)
    assert [pid for pid in pids if began(pid) is not None] == []
    assert in_spaces(spaces) == []
    assert traces(spare) == []
    assert lab.down(layout=spare) == 0
    assert lab.status(spare).stacks == ()


UP = "from drivers.lab import lab; lab.up(say=lambda line: print(line, flush=True))"


def up_process(layout, **streams):
    return subprocess.Popen([sys.executable, "-c", UP], stdout=subprocess.PIPE, text=True, cwd=ROOT, **streams,
                            env={**os.environ, "VIRTMARK_STATE": str(layout.state)})


@pytest.mark.parametrize("moment", ["switch", "client", "hA: starting", "hB", "guests"])
def test_a_killed_up_is_cleaned_by_down(spare, moment):
    with up_process(spare) as process:
        assert any(line.startswith(moment) for line in process.stdout)
        process.kill()
    assert lab.status(spare).leftovers or not lab.status(spare).up
    pids = everyone(spare)
    spaces = spaces_of(pids)
    lab.down(layout=spare)
    assert in_spaces(spaces) == []
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
