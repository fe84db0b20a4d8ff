"""Names and places of a lab."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.lab import layout
from drivers.lab.layout import CLIENT, HOSTS, STACKS, SWITCH, Layout
from harness.errors import InputError, LabError


def test_the_environment_says_which_lab(monkeypatch):
    monkeypatch.setenv("VIRTMARK_STATE", "/srv/a")
    monkeypatch.setenv("VIRTMARK_CACHE", "/srv/c")
    assert Layout.current() == Layout(Path("/srv/a"), Path("/srv/c"))
    monkeypatch.setenv("VIRTMARK_STATE", "")
    monkeypatch.delenv("VIRTMARK_CACHE")
    assert Layout.current() == Layout()


def test_the_usual_lab_has_plain_names_and_others_have_marks_of_their_own():
    assert Layout().called("hA") == "virtmark-hA"
    names = {Layout(Path(f"/srv/{n}")).called("hA") for n in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"virtmark-[0-9a-f]{4}-hA", name) for name in names)


def test_interfaces_fit_the_kernels_limit():
    assert all(len(f"p-{machine}") <= 15 for machine in (*HOSTS, CLIENT, SWITCH))


def test_no_address_is_given_twice():
    machines = [layout.address(machine) for machine in (*HOSTS, CLIENT)]
    guests = [layout.guest_address(index) for index in range(len(layout.GUESTS))]
    containers = [str(layout.NETWORK[last]) for last in layout.CONTAINERS]
    everything = machines + guests + containers
    assert len(set(everything)) == len(everything)
    assert len({layout.guest_mac(ip) for ip in everything}) == len(everything)
    assert layout.address("hA") == "10.77.0.1"
    assert guests[0] == "10.77.0.10"


def test_there_is_a_last_guest():
    with pytest.raises(IndexError):
        layout.guest_address(len(layout.GUESTS))


def test_every_host_belongs_to_one_stack():
    assert len(set(HOSTS)) == sum(len(stack.hosts) for stack in STACKS.values())
    assert layout.stack_of("hD").suite == "trixie"
    assert layout.has_containers("hA")
    assert not layout.has_containers("hB")
    assert not layout.has_containers(CLIENT)


def test_an_unknown_machine_is_refused_with_those_there_are():
    assert layout.find_machine("hB") == "hB"
    with pytest.raises(InputError, match="lab:hZ: no such machine; there are: hA, hB, hC, hD, client"):
        layout.find_machine("hZ")


@given(st.integers(1, 120))
def test_a_path_too_long_for_sockets_is_refused_and_the_limit_told_is_right(length):
    lab = Layout(Path("/" + "x" * length))
    try:
        lab.checked()
    except LabError as error:
        room = int(re.search(r"at most (\d+) bytes", str(error))[1])
        assert room <= length
        assert Layout(Path("/" + "x" * (room - 1))).checked()
    else:
        assert all(len(str(lab.of(host) / "run" / "libvirt-admin-sock")) <= 107 for host in HOSTS)


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a:b", "/srv/a,b", "/srv/a\\b"])
def test_a_path_that_a_mount_cannot_carry_is_refused(path):
    with pytest.raises(LabError, match="in the path of a lab; allowed: letters, digits"):
        Layout(Path(path)).checked()
    with pytest.raises(LabError, match="in the path of a lab"):
        Layout(cache=Path(path)).checked()


def test_where_things_are_reached():
    lab = Layout(Path("/srv/a"))
    assert lab.libvirt_uri("hA", "lxc") == "lxc+unix:///system?socket=/srv/a/lab/hA/run/libvirt-sock"
    assert lab.migration_uri("hB") == "qemu+tcp://10.77.0.2:16509/system"
    assert str(lab.podman_socket("hA")) == "/srv/a/lab/hA/podman.sock"
