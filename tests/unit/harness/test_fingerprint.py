"""Facts of machines: the real script in real shells, recorded output of four kinds of machine, the table of keys."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import fingerprint
from harness.errors import ToolError
from harness.fingerprint.keys import KEYS, covers, matters
from harness.fingerprint.reading import read
from harness.protocols import Completed

DATA = Path(__file__).parents[2] / "data" / "observe" / "facts"
RECORDED = {path.stem: path.read_text() for path in DATA.glob("*.txt")}


def ask(*shell, tools=(), script=None, **environment):
    return subprocess.run(
        [*shell, "-s", "/"], input=script or fingerprint.script(tools), capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", **environment}, check=False)


class Here:
    """This machine, as far as a fingerprint needs one; `argv` that it was asked is kept."""

    name = "here"

    def __init__(self, **environment):
        self.environment, self.asked = environment, []

    def run(self, argv, *, timeout, stdin=b""):
        self.asked.append(tuple(argv))
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False,
                              env={"PATH": "/usr/bin:/bin", **self.environment})
        return Completed(argv=tuple(argv), code=done.returncode, stdout=done.stdout.decode())


class Mute(Here):
    def run(self, argv, *, timeout, stdin=b""):
        return Completed(argv=tuple(argv), code=126, stdout="", stderr="exec failed:\n no shell\n")


# --- the script -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shell", [("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh")], ids="-".join)
def test_every_shell_says_the_same_and_complains_of_nothing(shell):
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]} here")
    done = ask(*shell, tools=["python3", "no-such-tool"])
    assert done.stderr == ""
    facts, reference = read(done.stdout), read(ask("sh", tools=["python3"]).stdout)
    same = {key: value for key, value in facts.items() if not key.startswith(("state.", "scratch.free"))}
    assert same == {key: value for key, value in reference.items() if key in same}
    assert {"kernel.release", "arch", "memory.total", "scratch.fs", "tool.python3", "state.uptime"} <= facts.keys()
    assert "tool.no-such-tool" not in facts


def test_a_machine_with_nothing_but_a_shell_is_described_as_far_as_it_goes(tmp_path):
    busy = subprocess.run(["sh", "-s", "/nowhere"], input=fingerprint.script(["fio"]), capture_output=True, text=True,
                          env={"PATH": str(tmp_path)}, executable="/bin/sh", check=False)
    facts = read(busy.stdout)
    assert "kernel.release" in facts
    assert "scratch.fs" not in facts
    assert "tool.fio" not in facts


def test_one_command_a_machine():
    machine = Here()
    facts = fingerprint.machine(machine, tools=["python3"], scratch="/")
    assert machine.asked == [("sh", "-s", "/")]
    assert facts["tool.python3"].startswith("Python 3")


def test_a_machine_that_says_nothing_is_an_error_that_names_it():
    with pytest.raises(ToolError, match="here: tells nothing of itself: exit status 126: exec failed: no shell"):
        fingerprint.machine(Mute())


def test_odd_names_of_tools_are_names_and_no_commands(tmp_path):
    mark = tmp_path / "mark"
    ask("sh", tools=[f"x; touch {mark}", f"$(touch {mark})", "-n"])
    assert not mark.exists()


@pytest.mark.parametrize(("printed", "said"), [
    ("usage: t [-x]\\nt V 2.40\\n", "t V 2.40"),
    ("\\n\\nt, version 0.15.06 (gcc 12, x86_64 Linux KERNEL)\\n", "t, version 0.15.06 (gcc 12)"),
    ("t from parts 20221126\\n", "t from parts 20221126"),
    ("no number here\\n", None),
])
def test_the_version_is_the_first_line_that_has_one(tmp_path, printed, said):
    running = Path("/proc/sys/kernel/osrelease").read_text().strip()
    tool = tmp_path / "t"
    tool.write_text(f"#!/bin/sh\nprintf '{printed.replace('KERNEL', running)}'\nexit 1\n")
    tool.chmod(0o755)
    assert read(ask("sh", tools=["t"], PATH=f"{tmp_path}:/usr/bin:/bin").stdout).get("tool.t") == said


# --- recorded machines ----------------------------------------------------------------------------------------------

def test_this_kind_of_host():
    facts = read(RECORDED["host"])
    assert facts["virt.level"] == "guest"
    assert facts["virt.vendor"] == "KVM"
    assert facts["cpu.model"] == "AMD EPYC"
    assert (facts["cpu.threads"], facts["cpu.cores"], facts["cpu.sockets"], facts["numa.nodes"]) == ("2", "2", "1", "1")
    assert facts["memory.total"] == str(24683656 * 1024)
    assert facts["memory.thp"] == "madvise"
    assert facts["block.vda.scheduler"] == "mq-deadline"
    assert facts["mitigation.spec_rstack_overflow"] == "Mitigation: Safe RET"
    assert facts["tool.stress-ng"] == "stress-ng, version 0.15.06 (gcc 12.2.0)"
    assert "avx2" in facts["cpu.flags"].split()
    assert len(facts["cpu.flags.sha256"]) == 16


def test_an_emulated_guest():
    facts = read(RECORDED["guest-tcg"])
    assert facts["virt.level"] == "guest"
    assert facts["virt.vendor"] == "TCG"
    assert facts["cpu.model"].startswith("QEMU TCG CPU")
    assert facts["kernel.cmdline"] == "mitigations=off"
    assert facts["cgroup.version"] == "2"
    assert facts["dmi.product"].startswith("Standard PC (Q35")


def test_a_container_with_limits():
    facts = read(RECORDED["container-podman"])
    assert facts["virt.level"] == "container in guest"
    assert facts["virt.container"] == "podman"
    assert facts["cgroup.cpu"] == "0.1"
    assert facts["cgroup.memory"] == str(256 * 2**20)
    assert facts["scratch.fs"] == "overlay"
    assert "/" not in facts["scratch.options"]


def test_a_host_of_the_lab():
    facts = read(RECORDED["lab-host"])
    assert facts["virt.container"] == "namespaces"
    assert facts["kernel.release"] == read(RECORDED["host"])["kernel.release"]


def test_guest_and_container_of_one_image_carry_the_same_tools():
    guest, container = read(RECORDED["guest-tcg"]), read(RECORDED["container-podman"])
    tools = {key: value for key, value in guest.items() if key.startswith("tool.")}
    assert len(tools) == 7
    assert tools == {key: value for key, value in container.items() if key.startswith("tool.")}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_facts_are_text_under_known_keys_in_the_order_of_the_table(name):
    facts = read(RECORDED[name])
    assert all(isinstance(value, str) and value and "\n" not in value for value in facts.values())
    ranks = [next(rank for rank, key in enumerate(KEYS) if covers(key, fact)) for fact in facts]
    assert ranks == sorted(ranks)


@given(st.text() | st.sampled_from(sorted(RECORDED)).map(RECORDED.__getitem__).flatmap(
    lambda text: st.integers(0, len(text)).map(lambda cut: text[cut:] + text[:cut])))
def test_any_output_can_be_read(text):
    assert all(any(covers(key, fact) for key in KEYS) for fact in read(text))


@pytest.mark.parametrize(("text", "facts"), [
    ("cpu.no_turbo=0\n", {"cpu.turbo": "on"}),
    ("cpu.no_turbo=1\n", {"cpu.turbo": "off"}),
    ("cpu.boost=1\n", {"cpu.turbo": "on"}),
    ("cgroup.cpu.max=150000 100000\n", {"cgroup.cpu": "1.5"}),
    ("cgroup.cpu.quota=25000\ncgroup.cpu.period=100000\n", {"cgroup.cpu": "0.25"}),
    ("cgroup.cpu.period=100000\n", {}),
    ("cpu.frequency.max=3600000\n", {"cpu.frequency.max": "3600000000"}),
    ("cpuinfo.flags=fpu vmx\n", {"virt.level": "metal", "cpu.flags": "vmx"}),
    ("cpuinfo.flags=fpu hypervisor svm\n", {"virt.level": "guest", "virt.nested": "offered"}),
    ("cpuinfo.flags=fpu\nvirt.container=podman\n", {"virt.level": "container"}),
    ("topology=0 0\ntopology=0 0\ntopology=1 0\ntopology=1 0\n", {"cpu.threads": "4", "cpu.cores": "2",
                                                                  "cpu.sockets": "2"}),
    ("state.cpu=cpu 90 0 0 0 0 0 0 10 0 0\n", {"state.steal": "0.100000"}),
])
def test_raw_lines_of_machines_that_are_not_at_hand(text, facts):
    assert read(text).items() >= facts.items()
    assert bool(read(text)) == bool(facts)


# --- this machine and its software ----------------------------------------------------------------------------------

def test_the_controller_tells_of_python_its_libraries_and_virtmark():
    facts = fingerprint.controller(tools=["python3"])
    assert facts["python.version"].startswith("3.")
    assert {"library.numpy", "library.psutil", "kernel.release", "scratch.fs", "tool.python3"} <= facts.keys()
    assert [key for key in facts if not any(covers(entry, key) for entry in KEYS)] == []


def test_the_revision_of_a_checkout_says_whether_files_were_changed(tmp_path):
    if not shutil.which("git"):
        pytest.skip("no git here")

    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
                       check=True, capture_output=True)

    assert fingerprint.revision(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "a")
    clean = fingerprint.revision(tmp_path)
    assert len(clean) == 12
    (tmp_path / "new").write_text("untracked files change nothing")
    assert fingerprint.revision(tmp_path) == clean
    (tmp_path / "a").write_text("2")
    assert fingerprint.revision(tmp_path) == clean + "+changes"


# --- comparability --------------------------------------------------------------------------------------------------

def test_only_what_can_explain_a_difference_is_a_difference():
    host = read(RECORDED["host"])
    later = host | {"state.uptime": "99999", "state.load": "7 7 7", "scratch.free": "1"}
    assert fingerprint.differences(host, later) == {}
    updated = later | {"cpu.microcode": "0x1000099", "tool.fio": "fio-3.39"}
    del updated["cpu.smt"]
    assert fingerprint.differences(host, updated) == {
        "cpu.microcode": ("0x1000065", "0x1000099"), "cpu.smt": ("notsupported", ""),
        "tool.fio": ("fio-3.33", "fio-3.39")}


@given(st.dictionaries(st.sampled_from([key.name.replace("*", "x") for key in KEYS]), st.text(min_size=1)))
def test_nothing_differs_from_itself_and_differences_are_mutual(facts):
    other = read(RECORDED["host"])
    assert fingerprint.differences(facts, facts) == {}
    forth, back = fingerprint.differences(facts, other), fingerprint.differences(other, facts)
    assert forth == {key: (b, a) for key, (a, b) in back.items()}


def test_the_table_names_every_key_once_and_says_what_it_means():
    assert len({key.name for key in KEYS}) == len(KEYS)
    assert all(len(key.meaning) > 5 for key in KEYS)
    assert matters("cpu.microcode")
    assert not matters("state.load")
    assert matters("a.key.of.a.target")
