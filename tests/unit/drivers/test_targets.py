"""What targets are made of, without a platform: domain XML, owners of things, target files good and bad."""

import dataclasses
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.shell import Local, owner
from drivers.targets import _agent, _domain, _real, _site
from drivers.targets._domain import Domain
from harness import scenario
from harness.errors import InputError, Unsupported

ROOT = Path(__file__).parents[3]
MACHINE = Domain(name="n", kind="qemu", vcpus=2, memory=2**29, root="/d.qcow2", bridge="br0", address="10.0.0.5",
                 kernel="/k", initrd="/i", cmdline="console=ttyS0", serial="/s")
TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)


def parse(guest):
    return ET.fromstring(_domain.xml(guest))


def replaced(**changes):
    return dataclasses.replace(MACHINE, **changes)


@given(TEXT, TEXT, TEXT)
def test_any_text_arrives_in_the_xml(name, path, cmdline):
    made = parse(replaced(name=name, root=path, cmdline=cmdline))
    assert made.findtext("name") == name
    assert made.find("devices/disk/source").get("file") == path
    assert made.findtext("os/cmdline") == cmdline


def test_a_machine_has_what_was_asked_for():
    made = parse(MACHINE)
    assert made.get("type") == "qemu"
    assert made.findtext("vcpu") == "2"
    assert (made.findtext("memory"), made.find("memory").get("unit")) == ("524288", "KiB")
    assert made.find("devices/channel/target").get("name") == "org.qemu.guest_agent.0"
    assert made.find("devices/interface/mac").get("address") == "52:54:00:00:00:05"
    assert made.find("devices/serial/source").get("path") == "/s"
    assert made.findtext("uuid") == _domain.claim("10.0.0.5")


@given(st.integers(1, 2**40))
def test_memory_is_never_rounded_down(memory):
    assert int(parse(replaced(memory=memory)).findtext("memory")) * 1024 >= memory


def test_without_an_address_the_guest_finds_its_own():
    made = parse(replaced(address="", cmdline=""))
    assert made.find("uuid") is None
    assert made.find("devices/interface/mac") is None
    assert made.find("os/cmdline") is None


@pytest.mark.parametrize(("kind", "wanted", "mode"), [
    ("qemu", "auto", "maximum"), ("kvm", "auto", "host-passthrough"), ("kvm", "host-model", "host-model"),
    ("qemu", "Nehalem", "custom"),
])
def test_the_processor(kind, wanted, mode):
    cpu = parse(replaced(kind=kind, cpu=wanted)).find("cpu")
    assert cpu.get("mode") == mode
    assert (cpu.findtext("model") == wanted) == (mode == "custom")


def test_a_container_has_an_init_an_address_and_a_quota():
    made = parse(replaced(kind="lxc", init=("/sbin/tini", "--", "sleep"), root="/r"))
    assert made.findtext("os/init") == "/sbin/tini"
    assert [each.text for each in made.findall("os/initarg")] == ["--", "sleep"]
    assert made.find("devices/filesystem/source").get("dir") == "/r"
    assert made.find("devices/interface/ip").get("address") == "10.0.0.5"
    assert int(made.findtext("cputune/quota")) == 2 * int(made.findtext("cputune/period"))
    assert made.find("devices/disk") is None


@given(st.lists(st.ip_addresses(v=4).map(str), min_size=2, max_size=10, unique=True))
def test_no_two_addresses_make_the_same_claim(addresses):
    assert len({_domain.claim(address) for address in addresses}) == len(addresses)


def test_what_a_living_controller_made_is_not_left_behind():
    assert not owner.left_behind(owner.new_name("sut"))
    assert len({owner.new_name("sut") for _ in range(10)}) == 10


def test_what_a_dead_controller_made_is():
    script = "from drivers.shell import owner; print(owner.new_name('x'))"
    made = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert owner.left_behind(made.stdout.strip())
    assert owner.left_behind(f"{made.stdout.strip()}.qcow2")


def test_a_number_that_was_given_again_does_not_hide_it():
    mine = owner.new_name("x").split("-")
    assert mine[3] == str(os.getpid())
    assert owner.left_behind("-".join([*mine[:4], str(int(mine[4]) - 1), *mine[5:]]))


def test_an_earlier_boot_of_this_machine_is_dead_and_another_machine_unknown():
    _, machine, _, *rest = owner.new_name("x").split("-")
    assert owner.left_behind("-".join(["virtmark", machine, "0" * 6, *rest]))
    assert not owner.left_behind("-".join(["virtmark", "0" * 6, "0" * 6, *rest]))


@given(st.text(max_size=40))
def test_what_has_another_name_is_nobodys(name):
    assert not owner.left_behind(name)


@pytest.mark.parametrize(("settings", "said"), [
    ({"driver": "bare", "directry": "/x"}, "unknown key 'directry'"),
    ({"driver": "bare", "directory": 1}, "directory"),
    ({"driver": "ssh"}, "machine"),
    ({"driver": "libvirt", "hosts": [{"lab": "hA", "urii": "x"}]}, "urii"),
    ({"driver": "libvirt", "hosts": [], "domain_type": "xen"}, "domain_type"),
    ({"driver": "libvirt", "hosts": [], "boot": 30}, "boot"),
    ({"driver": "libvirt", "hosts": [], "commands": "telnet"}, "commands"),
    ({"driver": "docker", "hosts": [{"sockett": "x"}]}, "sockett"),
    ({"driver": "docker", "storage": "tape"}, "storage"),
    ({"driver": "dockr"}, "dockr"),
    ({"driver": "libvirt", "hosts": []}, "at least one"),
    ({"driver": "docker", "hosts": []}, "at least one"),
])
def test_a_wrong_target_file_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        scenario.build({"name": "x", **settings}, "x.toml")


@pytest.mark.parametrize("name", sorted(scenario.packaged("target")))
def test_every_packaged_target_is_well_formed(name):
    assert scenario.target(name).target


@pytest.mark.parametrize(("span", "count"), [
    ("", 0), ("10.0.0.1-10.0.0.1", 1), ("10.0.0.250-10.0.1.5", 12), (" 10.0.0.1 - 10.0.0.4 ", 4),
])
def test_ranges_of_addresses(span, count):
    place = _site.site(_site.Host(uri="test:///default", addresses=span), "qemu", "hosts[0]")
    assert len(place.addresses) == count
    assert len(set(place.addresses)) == count


@pytest.mark.parametrize("span", [
    "10.0.0.1", "10.0.0.9-10.0.0.1", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3", "10.0.0.0-11.0.0.0",
])
def test_wrong_ranges_are_refused(span):
    with pytest.raises(InputError, match="addresses"):
        _site.site(_site.Host(uri="test:///default", addresses=span), "qemu", "hosts[0]")


def test_a_host_needs_a_connection():
    with pytest.raises(InputError, match=r"hosts\[3\].*uri"):
        _site.site(_site.Host(), "qemu", "hosts[3]")


def test_an_unknown_host_of_the_lab_is_refused():
    with pytest.raises(InputError, match="hZ"):
        _site.site(_site.Host(lab="hZ"), "qemu", "hosts[0]")


def test_hosts_and_drivers_of_the_lab_share_no_address():
    places = [_site.site(_site.Host(lab=name), kind, "h").addresses for name in ("hA", "hB", "hC", "hD")
              for kind in ("qemu", "lxc")]
    every = [address for place in places for address in place]
    assert len(set(every)) == len(every)
    assert min(map(len, places)) >= 8


def test_auto_needs_the_lab():
    target = scenario.build({"name": "x", "driver": "libvirt", "hosts": [{"uri": "qemu:///system"}]}, "x.toml").target
    with pytest.raises(InputError, match="kvm, qemu or lxc"):
        target.facts()


def test_what_the_user_declares_replaces_what_was_found():
    settings = {"name": "x", "driver": "bare", "vendor": "Example Corp", "product": "Server"}
    facts = scenario.build(settings, "x.toml").target.facts()
    assert (facts["vendor"], facts["product"], facts["declared"]) == ("Example Corp", "Server", "vendor product")
    assert facts["version"]


def test_facts_of_a_system_are_what_it_says(tmp_path):
    found = _real.system(Local(), "host_")
    assert found["host_kernel"] == f"{os.uname().sysname} {os.uname().release}"
    assert found["host_architecture"] == os.uname().machine
    assert found["host_os"] != "unknown"


@pytest.mark.parametrize("driver", ["ssh", "libvirt", "docker"])
def test_a_target_without_a_client_says_so(driver):
    needed = {"ssh": {"machine": "local"}, "libvirt": {"hosts": [{"uri": "test:///default"}], "domain_type": "qemu"}}
    target = scenario.build({"name": "x", "driver": driver, **needed.get(driver, {})}, "x.toml").target
    with pytest.raises(Unsupported, match="client_machine"), target.client():
        pass


SHELLS = [["sh"], *([["busybox", "sh"]] if shutil.which("busybox") else [])]


@pytest.fixture(params=SHELLS, ids=" ".join)
def wrapped(request, tmp_path):
    """Return a function that runs a command as the guest agent does, here."""
    def run(*argv, given="/dev/null"):
        arguments = [str(tmp_path), str(tmp_path / "slot"), given, "the-mark", *argv]
        done = subprocess.run([*request.param, "-c", _agent._COMMAND, "sh", *arguments], capture_output=True, text=True)
        out, err = ((tmp_path / f"slot.{stream}").read_text() for stream in "12")
        return done.returncode, done.stdout, out, err

    return run


def test_the_wrapper_in_the_guest_tells_which_output_there_is(wrapped):
    assert wrapped("sh", "-c", "exit 3") == (3, "", "", "")
    assert wrapped("echo", "a b", "") == (0, "1", "a b \n", "")
    assert wrapped("sh", "-c", "echo x >&2") == (0, "2", "", "x\n")
    assert wrapped("sh", "-c", "echo y; echo x >&2; kill -KILL $$")[:3] == (137, "12", "y\n")


def test_the_wrapper_runs_programs_and_never_what_is_built_into_the_shell(wrapped, tmp_path):
    assert "GNU" in wrapped("echo", "--version")[2] or "coreutils" in wrapped("echo", "--version")[2]
    assert wrapped("cd", "/")[0] == 127
    (tmp_path / "mine").write_text("#!/bin/sh\necho \"$0 $1\"\n")
    (tmp_path / "mine").chmod(0o755)
    assert wrapped("./mine", "x y")[2] == "./mine x y\n"
    assert wrapped("no-such-tool")[0] == 127


def test_the_wrapper_marks_the_command_and_feeds_it(wrapped, tmp_path):
    (tmp_path / "in").write_text("given")
    assert wrapped("cat", given=str(tmp_path / "in"))[2] == "given"
    assert "VIRTMARK_JOB=the-mark" in wrapped("env")[2].split()
    assert wrapped("pwd")[2] == f"{tmp_path}\n"
