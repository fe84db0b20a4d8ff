"""The lab's state, and how to get into its machines."""

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from drivers.lab import enter, state
from drivers.lab.layout import Layout
from drivers.lab.state import LabState, MachineState, Process
from harness.errors import InputError, LabError


@pytest.fixture
def lab(tmp_path):
    layout = Layout(tmp_path)
    layout.root.mkdir()
    return layout


@pytest.fixture
def known():
    me = Process.of(os.getpid())
    gone = Process(pid=me.pid, began=me.began - 1)
    machines = {"hA": MachineState(name="hA", init=me), "hB": MachineState(name="hB", init=gone),
                "client": MachineState(name="client")}
    return LabState(boot=state.boot_id(), complete=True, stacks=("bookworm",), machines=machines)


def test_what_is_saved_is_loaded(lab, known):
    assert state.load(lab) is None
    assert state.save(lab, known) == state.load(lab)
    assert [path.name for path in lab.root.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": "x", "surprise": 1}', '{"boot": 3}'])
def test_a_broken_state_is_said_and_how_to_get_rid_of_it(lab, text):
    lab.state_file.write_text(text)
    with pytest.raises(LabError, match=r"state\.json: .*; run: virtmark lab down"):
        state.load(lab)


def test_a_lab_that_is_not_up_is_not_entered(lab, known):
    with pytest.raises(LabError, match="the lab is not up; run: virtmark lab up"):
        enter.launcher("hA", lab)
    state.save(lab, msgspec.structs.replace(known, complete=False))
    with pytest.raises(LabError, match="only half up"):
        enter.launcher("hA", lab)
    state.save(lab, msgspec.structs.replace(known, boot="before"))
    with pytest.raises(LabError, match="the lab is not up"):
        enter.launcher("hA", lab)


def test_a_process_is_more_than_its_number(known):
    assert known.machines["hA"].init.alive
    assert not known.machines["hB"].init.alive
    child = subprocess.Popen(["true"])
    mark = state.began(child.pid)
    child.wait()
    assert state.began(child.pid) is None
    assert mark is None or mark >= known.machines["hA"].init.began


def test_a_zombie_is_not_alive():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        before = Process.of(child.pid)
        assert before.alive
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not before.alive


def test_the_way_into_a_machine(lab, known):
    state.save(lab, known)
    argv = enter.launcher("hA", lab)
    assert argv[:3] == ("setpriv", "--pdeathsig", "KILL")
    assert argv[-2:] == ("chroot", str(lab.tools("hA")))
    assert str(os.getpid()) in argv
    assert "chroot" not in enter.launcher("hA", lab, tools=False)


def test_no_way_into_a_machine_that_is_dead_or_not_there(lab, known):
    state.save(lab, known)
    with pytest.raises(LabError, match="lab:hB: its first process has ended; run: virtmark lab up"):
        enter.launcher("hB", lab)
    with pytest.raises(LabError, match=r"lab:hC: not part of the lab that is up \(hA, hB, client\)"):
        enter.launcher("hC", lab)
    with pytest.raises(InputError, match="no such machine"):
        enter.launcher("hX", lab)
    assert Path(lab.state_file).exists()
