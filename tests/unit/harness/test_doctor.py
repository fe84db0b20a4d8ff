"""`virtmark doctor`: every judgement from made-up sights, every probe on the machine the tests run on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import codec, doctor
from harness.doctor import checks, probes
from harness.doctor.checks import GIB, Standing
from harness.doctor.probes import Tried

OURS = {name: (["virtmark"], "ours") for name in probes.NAMES}


def only(parts):
    found = list(parts)
    assert len(found) == 1
    return found[0]


def standing(parts):
    return {part.name: part.status.value for part in parts}


# --- judgements -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("seen", "status"), [
    (((3, 11, 2), "venv"), "ok"), (((3, 13, 0), "system"), "warn"), (((3, 10, 9), "venv"), "missing")])
def test_python(seen, status):
    assert only(checks.python(seen)).status == status


def test_a_name_that_another_distribution_brings_too():
    part = only(checks.names(OURS | {"analysis": (["otherlab", "virtmark"], "ours")}))
    assert part.status == "missing"
    assert part.name == "name analysis"
    assert "otherlab" in part.seen
    assert part.fix.endswith("pip uninstall otherlab")


def test_a_name_that_is_imported_from_elsewhere():
    part = only(checks.names(OURS | {"drivers": ([], "/srv/old/drivers")}))
    assert (part.status, part.seen) == ("missing", "imported from /srv/old/drivers")
    assert only(checks.names(OURS)).status == "ok"


def test_extras_name_the_pip_command_for_a_checkout_and_for_a_package():
    seen = {"docker": {"docker": ""}, "pdf": {"weasyprint": "not installed"}}
    parts = list(checks.extras(seen, "/srv/virt mark", []))
    assert standing(parts) == {"extra docker": "ok", "extra pdf": "warn"}
    assert parts[1].fix == f"{sys.executable} -m pip install -e '/srv/virt mark[pdf]'"
    assert list(checks.extras(seen, "", []))[1].fix.endswith("pip install 'virtmark[pdf]'")


def test_libvirt_is_compiled_so_its_build_packages_come_first():
    table = [("-", "libvirt-dev", "libvirt-python is compiled against it"), ("fio", "fio", "disk workloads")]
    part = only(checks.extras({"libvirt": {"libvirt": "not installed"}}, "", table))
    assert part.fix.startswith("apt-get install --no-install-recommends libvirt-dev && ")


def test_a_missing_program_names_its_package_and_what_it_is_for():
    table = [("cyclictest", "rt-tests", "scheduling latency"), ("fio", "fio", "disk workloads"), ("-", "gcc", "x")]
    missing, present = checks.tools({"fio": "fio-3.33"}, table)
    assert (missing.name, missing.status) == ("cyclictest", "missing")
    assert missing.fix == "apt-get install --no-install-recommends rt-tests"
    assert "scheduling latency" in missing.seen
    assert (present.status, present.seen) == ("ok", "fio-3.33")


def test_rights_of_root_and_of_others():
    fine = [Tried(trial, "") for trial in probes.NAMESPACES]
    refused = [Tried(trial, "unshare failed:\n  Operation not permitted") for trial in probes.NAMESPACES[:1]] + fine[1:]
    assert standing(checks.rights(0, fine)) == {"root": "ok", "namespaces": "ok"}
    assert standing(checks.rights(1000, refused)) == {"root": "missing", "namespace mount": "missing"}
    assert "unshare failed: Operation not permitted" in list(checks.rights(0, refused))[1].seen


def test_a_feature_that_fails_is_a_warning_with_the_module_to_load():
    part = only(checks.features([Tried(probes.FEATURES[0], "Error: Unknown device type.")]))
    assert part.status == "warn"
    assert "modprobe veth" in part.fix


def test_the_machine():
    facts = {"cgroup.version": "2", "cpu.model": "X", "cpu.threads": "8", "virt.level": "metal", "clock.source": "tsc",
             "cpu.governor": "performance", "mitigation.a": "Mitigation: y", "mitigation.b": "Not affected"}
    assert set(standing(checks.machine(facts)).values()) == {"ok"}
    worse = {"cgroup.cpu": "0.5", "cpu.governor": "powersave", "clock.source": "acpi_pm", "clock.available": "tsc"}
    found = standing(checks.machine(facts | worse))
    assert {name for name, at in found.items() if at == "warn"} == {"cgroup.cpu", "CPU governor", "clock source"}
    assert standing(checks.machine({}))["cgroup"] == "missing"


@pytest.mark.parametrize(("state", "status", "word"), [
    ("opens", "ok", "only booting"), ("absent", "warn", "TCG"), ("Permission denied", "warn", "does not open")])
def test_kvm_is_never_said_to_work_because_it_opens(state, status, word):
    part = only(checks.kvm(state))
    assert part.status == status
    assert word in part.seen


@pytest.mark.parametrize(("left", "status"), [(20 * GIB, "ok"), (5 * GIB, "warn"), (GIB, "missing")])
def test_space(left, status):
    space, memory = checks.space({"/x": left}, 16 * GIB)
    assert (space.status, memory.status) == (status, "ok")
    assert standing(checks.space({}, GIB)) == {"memory": "missing"}


def test_fonts_clock_and_noise():
    assert only(checks.fonts("Noto Sans CJK SC")).status == "ok"
    assert "fonts-noto-cjk" in only(checks.fonts("")).fix
    assert only(checks.fonts(None)).status == "warn"
    assert [only(checks.time(seen)).status for seen in (True, None, False)] == ["ok", "ok", "warn"]
    assert standing(checks.noise({"host.busy": 0.02, "host.steal": 0.0})) == {"quiet": "ok", "steal": "ok"}
    assert standing(checks.noise({"host.busy": 0.5, "host.steal": 0.04})) == {"quiet": "warn", "steal": "warn"}


# --- probes ---------------------------------------------------------------------------------------------------------

def test_the_whole_examination_leaves_nothing_and_is_writable_as_json():
    parts = doctor.examine()
    assert not Path("/sys/class/net/virtmark-try").exists()
    assert " /mnt " not in Path("/proc/self/mounts").read_text()
    assert not Path("/mnt/m").exists()
    assert {"python", "names", "root", "/dev/kvm", "memory", "steal"} <= {part.name for part in parts}
    assert not [part for part in parts if part.name == "doctor"]
    assert all(part.fix for part in parts if part.status is not Standing.OK)
    assert all("\n" not in part.seen + part.fix for part in parts)
    assert codec.encode(parts).startswith(b'[{"name":"python","status":"')


def test_a_section_that_fails_says_so_and_the_others_go_on(monkeypatch):
    def faint():
        raise OSError("no /proc here")
        yield

    monkeypatch.setattr(doctor, "SECTIONS", (faint, lambda: checks.kvm("opens")))
    first, second = doctor.examine()
    assert (first.status, first.seen) == ("warn", "could not look: OSError: no /proc here")
    assert second.name == "/dev/kvm"


def test_the_owner_of_a_name_is_found_among_all_distributions(tmp_path, monkeypatch):
    other = tmp_path / "otherlab-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: otherlab\nVersion: 1.0\n")
    (other / "top_level.txt").write_text("analysis\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = probes.owners()
    assert "otherlab" in found["analysis"][0]
    assert found["analysis"][1] == "ours"
    assert found["harness"][1] == "ours"
    assert standing(checks.names(found)) == {"name analysis": "missing"}


def test_a_folder_that_hides_a_name_is_found(tmp_path):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "__init__.py").write_text("")
    code = ("import sys; from harness.doctor import checks, probes; sys.path.insert(0, sys.argv[1]); "
            "print([p.name for p in checks.names(probes.owners())])")
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True,
                          cwd=probes.ROOT)
    assert done.stdout.strip() == "['name scenarios']"


def test_an_extra_that_is_broken_says_why(tmp_path, monkeypatch):
    (tmp_path / "virtmark_broken.py").write_text("raise ImportError('libx.so.0: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(probes, "MODULES", {"x": ("virtmark_broken", "virtmark_not_there", "json")})
    assert probes.extras() == {"x": {
        "virtmark_broken": "ImportError: libx.so.0: cannot open shared object file",
        "virtmark_not_there": "not installed", "json": ""}}


def test_every_row_of_the_package_table_is_read():
    rows = probes.programs()
    assert ("fio", "fio", "disk workloads") in rows
    assert {program for program, _, _ in rows} >= {"-", "iperf3", "cyclictest"}


def test_only_programs_that_are_here_have_a_version():
    found = probes.tools()
    assert set(found) <= {program for program, _, _ in probes.programs()}
    for program, version in found.items():
        assert shutil.which(program, path=probes._path())
        assert version == version.strip()


def test_a_trial_is_really_made():
    trial = probes.Trial("x", ("sh", "-c", "echo 'no such thing' >&2; exit 3"), "nothing", "none")
    absent = probes.Trial("y", ("virtmark-no-such-program",), "nothing", "none")
    fine = probes.Trial("z", ("true",), "nothing", "none")
    assert [tried.trouble for tried in probes.trials([trial, absent, fine])] == [
        "no such thing", "virtmark-no-such-program: No such file or directory", ""]


def test_kvm_is_opened_not_looked_at(tmp_path):
    assert probes.kvm(str(tmp_path / "kvm")) == "absent"
    (tmp_path / "kvm").write_text("")
    assert probes.kvm(str(tmp_path / "kvm")) == "opens"
    assert probes.kvm(str(tmp_path)) == "Is a directory"


def test_space_is_that_of_the_nearest_folder_that_exists(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTMARK_STATE", str(tmp_path / "not" / "yet"))
    monkeypatch.setenv("VIRTMARK_CACHE", "")
    found = probes.space()
    assert list(found) == [str(tmp_path / "not" / "yet"), "/var/cache/virtmark"]
    assert 0 < found[str(tmp_path / "not" / "yet")] <= os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
