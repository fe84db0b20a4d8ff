"""What the status of a lab looks like to people and to programs."""

from pathlib import Path

from drivers.lab import report
from drivers.lab.layout import Layout
from drivers.lab.report import LabStatus, MachineStatus
from harness import codec

CLIENT = MachineStatus(name="client", address="10.77.0.100", alive=True, memory=5 * 2**20)
HOST = MachineStatus(
    name="hA", address="10.77.0.1", alive=True, stack="bookworm", versions={"libvirt": "9.0.0", "qemu": "7.2.22"},
    daemon=True, guests=("g1", "g2"), containers=(), memory=500 * 2**20)
UP = LabStatus(up=True, folder="/srv/lab", complete=True, accelerator="tcg", image="abc", stacks=("bookworm",),
               machines=(CLIENT, HOST), notes=("no cgroup controller io: limits of that kind do not bind",))


def test_a_lab_that_is_up():
    lines = report.text(UP).splitlines()
    assert lines[0] == "lab: up in /srv/lab; guests by tcg, image abc"
    assert lines[1] == "  client 10.77.0.100  5 MiB"
    assert lines[2] == ("  hA     10.77.0.1    bookworm (libvirt 9.0.0, qemu 7.2.22), 2 guests (g1, g2), 0 containers, "
                        "500 MiB")
    assert lines[3:] == ["  no fault that is not healed",
                         "  note: no cgroup controller io: limits of that kind do not bind"]


def test_what_is_wrong_is_said_with_what_to_run():
    dead = MachineStatus(name="hB", address="10.77.0.2", alive=False)
    deaf = MachineStatus(name="hA", address="10.77.0.1", alive=True, stack="bookworm")
    found = LabStatus(up=False, folder="/srv/lab", complete=True, stacks=("bookworm",), machines=(deaf, dead),
                      faults=("hA: frozen",))
    text = report.text(found)
    assert text.startswith("lab: damaged in /srv/lab; guests by unknown")
    assert "libvirtd does not answer" in text
    assert "dead" in text
    assert "fault not healed: hA: frozen" in text
    assert text.endswith("to repair: virtmark lab up; to remove all: virtmark lab down")


def test_a_lab_that_is_down(tmp_path):
    found = report.status(Layout(tmp_path))
    assert found == LabStatus(up=False, folder=str(tmp_path / "lab"))
    assert report.text(found) == "lab: down"


def test_a_state_that_cannot_be_read_is_a_leftover(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "state.json").write_text("garbage")
    found = report.status(Layout(tmp_path))
    assert "state.json" in found.leftovers[0]
    assert "virtmark lab down" in report.text(found)


def test_programs_read_it_back():
    assert codec.decode(LabStatus, codec.encode(UP), "status") == UP
    assert Path(UP.folder).name == "lab"
