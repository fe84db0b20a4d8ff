"""The run folder: whole or not at all, readable after any accident, tamper-evident."""

import errno
import hashlib
import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import masking, plan, store
from harness.errors import InputError
from harness.model import Evidence, Repetition, Run, Scenario, Series, Stage, Status, StepResult

QUICK = Scenario(name="quick", title="Quick", stage=(Stage(workload="toyload", grid={"depth": (1, 2)}),),
                 repetition=Repetition(rounds=2))
PLAN = plan.make([QUICK], ["here"], seed=1).plans[0]
RUN = Run(plan=PLAN, facts={"target": {"vendor": "Toys"}}, created="2026-01-01T00:00:00Z", version="0")
RESULTS = [StepResult(step=step, status=Status.DONE, started="2026-01-01T00:00:01Z", elapsed=1.5,
                      series=(Series(metric="toy.rate", unit="1/s", values=(1.0, 2.0)),)) for step in PLAN.steps]
LINES = b"".join(store._line(result, masking.UNMASKED) for result in RESULTS)


def made(folder, results=RESULTS):
    store.create(folder, RUN, {"driver": "toytarget"})
    with store.Journal(folder) as journal:
        for result in results:
            journal.append(result)
    return folder


def test_what_was_appended_is_loaded(tmp_path):
    folder = made(tmp_path / "out" / "here" / "run")
    assert store.load(folder) == msgspec.structs.replace(RUN, results=tuple(RESULTS))
    assert store.head(folder) == RUN
    assert store.settings(folder) == {"driver": "toytarget"}
    assert (folder / "steps.jsonl").read_bytes() == LINES
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_a_folder_is_never_used_twice(tmp_path):
    folder = made(tmp_path / "run")
    with pytest.raises(InputError, match=r"run: exists already; a run folder is never used twice$"):
        store.create(folder, RUN, {})
    assert len(store.load(folder).results) == len(RESULTS)


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(OSError, match="No space left"):
        store.create(tmp_path / "run", RUN, {})
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, len(LINES)))
def test_a_run_cut_off_after_any_byte_loads(tmp_path_factory, size):
    folder = made(tmp_path_factory.mktemp("cut") / "run")
    os.truncate(folder / "steps.jsonl", size)
    whole, torn = LINES[:size].count(b"\n"), not LINES[:size].endswith(b"\n") and size > 0
    said = []
    assert store.load(folder, said.append).results == tuple(RESULTS[:whole])
    assert len(said) == torn
    with store.Journal(folder) as journal:
        assert (folder / "steps.jsonl").stat().st_size == LINES[:size].rfind(b"\n") + 1
        for result in RESULTS[whole:]:
            journal.append(result)
    assert (folder / "steps.jsonl").read_bytes() == LINES


def test_a_missing_step_file_is_a_run_without_results(tmp_path):
    folder = made(tmp_path / "run")
    (folder / "steps.jsonl").unlink()
    assert store.load(folder).results == ()


def test_a_spoilt_line_in_the_middle_is_told_with_its_number(tmp_path):
    folder = made(tmp_path / "run")
    lines = LINES.split(b"\n")
    (folder / "steps.jsonl").write_bytes(b"\n".join([lines[0], b"{}", *lines[2:]]))
    with pytest.raises(InputError, match=r"steps\.jsonl:2: "):
        store.load(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"null", b'{"plan": NaN}'])
def test_a_spoilt_run_file_is_told(tmp_path, text):
    folder = made(tmp_path / "run")
    (folder / "run.json").write_bytes(text)
    with pytest.raises(InputError, match=r"run\.json: "):
        store.load(folder)


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError, match=r"is no run folder: run\.json: No such file or directory$"):
        store.load(tmp_path)
    with pytest.raises(InputError, match=r"target\.json: No such file or directory; a run without it cannot be"):
        store.settings(tmp_path)


def test_one_writer_at_a_time(tmp_path):
    folder = made(tmp_path / "run")
    with store.Journal(folder), pytest.raises(InputError, match="another virtmark process is at work here"):
        store.Journal(folder)
    with store.hold(tmp_path), pytest.raises(InputError, match="another virtmark process is at work here"), \
            store.hold(tmp_path):
        pass
    with store.hold(tmp_path), store.Journal(folder):
        pass


def test_the_lock_of_a_killed_process_is_gone(tmp_path):
    script = ("import os, sys, pathlib; from harness import store; hold = store.hold(pathlib.Path(sys.argv[1])); "
              "hold.__enter__(); os.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    with store.hold(tmp_path):
        pass


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_full_disk_leaves_the_lines_that_were_there(tmp_path, monkeypatch, fraction):
    folder = made(tmp_path / "run", RESULTS[:2])
    real = os.pwrite

    def full(file, data, place):
        if room := int(len(LINES) * fraction / 10):
            real(file, data[:room], place)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.Journal(folder) as journal:
        monkeypatch.setattr(store.os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(RESULTS[2])
        monkeypatch.setattr(store.os, "pwrite", real)
        assert LINES.startswith(held := (folder / "steps.jsonl").read_bytes())
        assert held.count(b"\n") == 2
        assert held.endswith(b"\n")
        assert store.load(folder).results == tuple(RESULTS[:2])
        journal.append(RESULTS[2])
    assert store.load(folder).results == tuple(RESULTS[:3])


def test_a_plan_can_grow_and_results_stay(tmp_path):
    folder = made(tmp_path / "run")
    longer = plan.extend(plan.Campaign(id="x", plans=(PLAN,)), {"quick": 5}).plans[0]
    store.replan(folder, longer)
    assert store.load(folder).plan == longer
    assert len(store.load(folder).results) == len(RESULTS)
    assert sorted(path.name for path in folder.iterdir()) == ["raw", "run.json", "steps.jsonl", "target.json"]


def test_secrets_are_masked_in_every_file(tmp_path):
    mask = masking._mask({"hunter2"})
    run = msgspec.structs.replace(RUN, facts={"target": {"login": "root:hunter2@x"}})
    store.create(tmp_path / "run", run, {"password_env": "PW"}, mask)
    with store.Journal(tmp_path / "run", mask) as journal:
        journal.append(msgspec.structs.replace(RESULTS[0], status=Status.BROKEN, error='denied: "hunter2"'))
    text = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file())
    assert b"hunter2" not in text
    assert store.load(tmp_path / "run").results[0].error == 'denied: "***"'
    assert store.load(tmp_path / "run").facts == {"target": {"login": "root:***@x"}}


def with_evidence(folder, data=b"fio said this"):
    kept = Evidence(path="raw/00000-a/01-fio.out", sha256=hashlib.sha256(data).hexdigest(), size=len(data), source="g")
    made(folder, [msgspec.structs.replace(RESULTS[0], evidence=(kept,))])
    (folder / "raw/00000-a").mkdir()
    (folder / kept.path).write_bytes(data)
    return folder / kept.path


def test_evidence_verifies_until_it_is_touched(tmp_path):
    file = with_evidence(tmp_path / "run")
    assert store.verify(tmp_path / "run") == []
    file.write_bytes(b"fio said that")
    assert store.verify(tmp_path / "run") == [
        "raw/00000-a/01-fio.out: changed since it was recorded: its SHA-256 is another"]
    file.write_bytes(b"fio")
    assert store.verify(tmp_path / "run")[0] == "raw/00000-a/01-fio.out: 3 bytes instead of 13"
    file.unlink()
    assert store.verify(tmp_path / "run") == ["raw/00000-a/01-fio.out: No such file or directory"]


def test_files_of_unfinished_steps_are_told_and_dropped(tmp_path):
    with_evidence(tmp_path / "run")
    (tmp_path / "run/raw/00001-b").mkdir()
    (tmp_path / "run/raw/00001-b/01-fio.out").write_bytes(b"half")
    assert store.verify(tmp_path / "run") == ["raw/00001-b/01-fio.out: belongs to no finished step"]
    assert store.drop_unfinished(tmp_path / "run") == ["00001-b"]
    assert store.verify(tmp_path / "run") == []


def test_runs_are_found_at_every_depth(tmp_path):
    folders = [made(tmp_path / "out" / target / "run") for target in ("a", "b")]
    assert store.runs(tmp_path / "out") == folders
    assert store.runs(tmp_path / "out" / "a") == folders[:1]
    assert store.runs(folders[0]) == folders[:1]
    assert store.runs(tmp_path / "nothing") == []
