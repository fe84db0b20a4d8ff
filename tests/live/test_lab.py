"""The embedded lab for real: two hosts, a guest that moves, a container, faults that are seen and healed.

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
from pathlib import Path

import pytest

from drivers.lab import accelerator, enter, lab
from drivers.lab.layout import (
    CLIENT,
    CONTAINER_IMAGE,
    CONTAINER_NETWORK,
    GUEST_CMDLINE,
    READY,
    SWITCH,
    address,
    guest_address,
    guest_mac,
)
from drivers.lab.state import living, load
from tests.support.labs import MARKS, ROOT, SPACES, eventually, own_layout, run, spaces_of

pytestmark = MARKS


@pytest.fixture(scope="module")
def layout():
    own = own_layout()
    lab.up(layout=own)
    yield own
    lab.down(layout=own)
    shutil.rmtree(own.state, ignore_errors=True)


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


def test_a_host_starts_its_dead_daemon_again(layout):
    before = living(layout)
    assert run(layout, "hA", "pkill", "-KILL", "-x", "libvirtd", tools=False).returncode == 0
    eventually(lambda: lab.status(layout).up)
    assert living(layout) == before


def test_up_heals_a_dead_host(layout):
    before = living(layout)
    os.kill(before.machines["hB"].init.pid, signal.SIGKILL)
    found = lab.status(layout)
    assert not found.up
    assert any("hB: has no power" in each for each in found.faults)
    after = lab.up(layout=layout)
    assert lab.status(layout).up
    assert after.machines["hA"].init == before.machines["hA"].init
    assert after.machines["hB"].init != before.machines["hB"].init
    assert run(layout, CLIENT, "ping", "-c", "1", "-W", "5", address("hB")).returncode == 0
