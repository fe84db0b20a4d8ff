"""Bundles: one archive for one set of files, and no change of any byte that goes unnoticed."""

import io
import json
import os
import random
import shutil
import stat
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import bundle, store
from harness.bundle import archive, manifest
from harness.cli.bundling import derived
from harness.errors import InputError
from tests.support import simulated

PROFILE = """
name = "{name}"
title = "Mine"
{extends}
[[requirement]]
indicator = "MEM-01"
limit = ">= {limit}"
source = "user"
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Return the two run folders of one campaign on two simulated targets."""
    return simulated.measured(tmp_path_factory.mktemp("campaign"), "fake", "other")


@pytest.fixture
def runs(campaign, tmp_path):
    """Return copies of the run folders, to be spoilt."""
    return [Path(shutil.copytree(folder, tmp_path / folder.parent.name / folder.name)) for folder in campaign]


@pytest.fixture(scope="module")
def sound(campaign, tmp_path_factory):
    """Return a bundle of one run and a profile."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "mine.toml").write_text(PROFILE.format(name="mine", extends="", limit="1 MB/s"))
    bundle.write(folder / "x.zip", campaign[:1], derived, profiles=[str(folder / "mine.toml")])
    return folder / "x.zip"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Give temporary files a folder of their own; whatever a test did, nothing may be left there."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def problems(path):
    return list(bundle.verify(path, derived).problems)


def forged(path, out, change, *, listed=True):
    """Return a bundle changed by somebody who knows how bundles are made; `listed`: with the manifest made anew."""
    tree = out.parent / f"{out.name}.tree"
    with zipfile.ZipFile(path) as file:
        file.extractall(tree)
    change(tree)
    if listed:
        told = manifest.read(tree / "manifest.json", path)
        (tree / "manifest.json").write_bytes(manifest.text(manifest.listed(tree, told)))
    with out.open("wb") as file:
        archive.pack(tree, file)
    return out


def steps(tree):
    return next(tree.glob("runs/1-*/steps.jsonl"))


def relined(change):
    """Return a change of the lines of the first run."""
    def changed(tree):
        steps(tree).write_bytes(b"".join(change(manifest.lines(steps(tree)))))
    return changed


def test_the_same_inputs_in_any_order_and_from_anywhere_give_the_same_bytes(campaign, runs, tmp_path, monkeypatch):
    bundle.write(tmp_path / "1.zip", campaign, derived)
    bundle.write(tmp_path / "2.zip", campaign[::-1], derived)
    for path in runs[0].rglob("*"):
        os.utime(path, (1, 1))
    monkeypatch.chdir(runs[1])
    bundle.write(tmp_path / "3.zip", [Path("."), runs[0], campaign[0].parent / runs[0].parent / runs[0].name], derived)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes() == (tmp_path / "3.zip").read_bytes()
    assert problems(tmp_path / "1.zip") == []


def test_a_bundle_holds_every_file_of_a_run_as_it_is(campaign, sound):
    with zipfile.ZipFile(sound) as file:
        names = file.namelist()
        place = f"runs/1-{campaign[0].name}"
        assert {name: file.read(f"{place}/{name}") for name in manifest.names(campaign[0])} == {
            name: (campaign[0] / name).read_bytes() for name in manifest.names(campaign[0])}
        assert {name for name in names if not name.startswith(place)} == {
            "findings.json", "manifest.json", "profiles/1-mine.toml", "versions.json"}
        assert names == sorted(names)
        assert {(info.date_time, info.external_attr >> 16, info.compress_type) for info in file.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), stat.S_IFREG | 0o644, zipfile.ZIP_STORED)}


def test_a_sound_bundle_is_well_and_counted(sound):
    checked = bundle.verify(sound, derived)
    assert checked == bundle.Checked(problems=(), signature="none", files=12 - 1, runs=1, steps=5)


def test_a_thousand_random_changes_of_one_byte_are_all_told(sound, tmp_path):
    data, draw, missed = sound.read_bytes(), random.Random(2026), []
    begun = time.monotonic()
    for _ in range(1000):
        place, bit = draw.randrange(len(data)), draw.randrange(1, 256)
        (tmp_path / "y.zip").write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1:])
        if not problems(tmp_path / "y.zip"):
            missed.append((place, bit))
    print(f"1,000 changes of {len(data)} bytes: {time.monotonic() - begun:.1f} s")
    assert missed == []


def test_each_byte_of_headers_and_directory_counts(sound, tmp_path):
    """What a reader of zip files skips: versions, times, attributes, gaps. Each byte before the first file's name, and
    each of the directory's first entry and of its end."""
    data = sound.read_bytes()
    start = data.index(b"PK\x01\x02")
    for place in (*range(30), *range(start, start + 46), *range(len(data) - 22, len(data))):
        (tmp_path / "y.zip").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
        assert problems(tmp_path / "y.zip"), place


@given(st.data(), st.sampled_from([
    lambda whole, at, more: whole[:at], lambda whole, at, more: more + whole, lambda whole, at, more: whole + more,
    lambda whole, at, more: whole[:at] + more + whole[at:]]))
def test_cut_prepended_inserted_and_appended_bytes_are_told(sound, data, change):
    whole = sound.read_bytes()
    at, more = data.draw(st.integers(4, len(whole) - 1)), data.draw(st.binary(min_size=1, max_size=40))
    with tempfile.NamedTemporaryFile() as file:
        file.write(change(whole, at, more))
        file.flush()
        assert problems(Path(file.name))


@pytest.mark.parametrize(("change", "words"), [
    (lambda all: [*all[:2], *all[3:]], "step 'memory#2': its line, number 3, is missing"),
    (lambda all: [all[0], all[2], all[1], *all[3:]], "line 2: step 'memory#2': was moved; it is number 3"),
    (lambda all: [*all[:4], all[4].replace(b'"done"', b'"open"')], "line 5: step 'memory#4': was changed"),
    (lambda all: [*all, all[0]], "line 6: step 'memory#0': is not in the chain"),
])
def test_a_step_line_that_was_touched_is_named(sound, tmp_path, change, words):
    (line, *more) = problems(forged(sound, tmp_path / "y.zip", relined(change), listed=False))
    assert "/steps.jsonl: " in line
    assert words in line
    assert [each for each in more if "steps.jsonl" in each and "was moved" not in each] == []


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_lines_are_told_if_and_only_if_they_differ(order, without, spoilt):
    with tempfile.TemporaryDirectory() as made:
        run = Path(made, "runs/1-a")
        run.mkdir(parents=True)
        (run / "run.json").write_bytes(b"{}")
        rows = [b'{"step":{"id":"s%d"}}\n' % number for number in range(6)]
        (run / "steps.jsonl").write_bytes(b"".join(rows))
        told = manifest.listed(Path(made), manifest.Manifest())
        now = [rows[at].replace(b"}\n", b" }\n") if at in spoilt else rows[at] for at in order if at not in without]
        (run / "steps.jsonl").write_bytes(b"".join(now))
        said = list(manifest.changed(Path(made), told))
    assert bool(said) == (now != rows)
    for at in without:
        assert f"runs/1-a/steps.jsonl: step 's{at}': its line, number {at + 1}, is missing" in said
    for at in spoilt - without:
        assert any(f"step 's{at}': was changed" in line for line in said)


def spoil_raw(tree):
    path = sorted(tree.glob("runs/1-*/raw/*/*.out"))[0]
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))


def lower_limit(tree):
    path = tree / "profiles/1-mine.toml"
    path.write_text(path.read_text().replace("1 MB/s", "2 MB/s"))


def better_findings(tree):
    path = tree / "findings.json"
    document = json.loads(path.read_text())
    document["findings"][0]["estimate"]["estimate"] *= 9
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def point_elsewhere(tree):
    text = steps(tree).read_text()
    steps(tree).write_text(text.replace('"path":"raw/', '"path":"../../../../../../../dev/zero/', 1))


def extend_elsewhere(tree):
    path = tree / "profiles/1-mine.toml"
    path.write_text('extends = "/etc/passwd.toml"\n' + path.read_text())


@pytest.mark.parametrize(("change", "words"), [
    (spoil_raw, ["/raw/00000-memory#0/01-sysbench.out: changed since it was recorded"]),
    (lower_limit, ["findings.json: does not follow from the evidence: findings[0] (MEM-01 fake memory)",
                   "requirement.limit: 1000000.0 in the bundle, 2000000.0 derived again"]),
    (better_findings, ["findings.json: does not follow", ".estimate.estimate: ", " in the bundle, "]),
    (relined(lambda all: all[:4]), ["-memory#4/01-sysbench.out: belongs to no finished step"]),
    (relined(lambda all: [*all, all[0][:50]]), ["steps.jsonl: the last line is torn"]),
    (point_elsewhere, ["dev/zero/00000-memory#0/01-sysbench.out: is evidence of a step and is missing"]),
    (extend_elsewhere, ["profiles/1-mine.toml: extends: '/etc/passwd.toml' is not in the bundle"]),
    (lambda tree: (tree / "findings.json").unlink(), ["findings.json: is missing, and follows from the evidence"]),
    (lambda tree: (tree / "assessments.json").write_text("[]"), ["assessments.json: follows from no evidence"]),
    (lambda tree: steps(tree).unlink(), ["runs/1-", "/steps.jsonl: No such file or directory"]),
    (lambda tree: steps(tree).write_text("[1]\n"), ["steps.jsonl:1: "]),
])
def test_what_a_forger_with_a_manifest_of_his_own_changes_is_named(sound, tmp_path, change, words):
    said = problems(forged(sound, tmp_path / "y.zip", change))
    assert any(all(word in line for word in words) for line in said), said
    assert all(str(tmp_path) not in line and "\n" not in line for line in said)


def test_files_that_are_missing_new_or_changed_are_named(sound, tmp_path):
    def change(tree):
        (tree / "versions.json").write_text("{}")
        (tree / "profiles/1-mine.toml").unlink()
        (tree / "report").mkdir()
        (tree / "report/x.html").write_text("hello")

    assert problems(forged(sound, tmp_path / "y.zip", change, listed=False)) == [
        "profiles/1-mine.toml: is missing; it is in manifest.json", "report/x.html: is not in manifest.json",
        "versions.json: 2 bytes instead of " + str(len(zipfile.ZipFile(sound).read("versions.json")))]


def with_entry(sound, out, name, data=b"x", mode=stat.S_IFREG | 0o644, method=zipfile.ZIP_STORED):
    shutil.copy(sound, out)
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.compress_type = mode << 16, method
    with warnings.catch_warnings(), zipfile.ZipFile(out, "a") as file:
        warnings.simplefilter("ignore")  # zipfile itself warns of a name that is there already
        file.writestr(info, data)
    return out


@pytest.mark.parametrize(("entry", "words"), [
    (("../evil",), "../evil: is no path that a bundle has"),
    (("/etc/evil",), "/etc/evil: is no path that a bundle has"),
    (("report/../../evil",), "report/../../evil: is no path"),
    (("report//evil",), "is no path"),
    (("report/evil\\..\\x",), "holds characters"),
    (("report/a\x1b[31m",), "report/a?[31m: holds characters"),
    (("report/" + "x" * 300,), "has a name that is too long"),
    (("report/",), "report/: is no path"),
    (("report/link", b"/etc/passwd", stat.S_IFLNK | 0o777), "report/link: is a symbolic link"),
    (("report/pipe", b"", stat.S_IFIFO | 0o644), "report/pipe: is no regular file"),
    (("findings.json", b"{}"), "findings.json: is in the archive 2 times"),
    (("findings.json/x",), "findings.json/x: is no path"),
    (("report/bomb", bytes(50_000_000), stat.S_IFREG | 0o644, zipfile.ZIP_DEFLATED),
     "report/bomb: is compressed, 50000000 bytes to "),
    (("report/extra",), "report/extra: is not in manifest.json"),
])
def test_a_hostile_archive_is_refused_before_anything_is_written(sound, tmp_path, entry, words):
    out = tmp_path / "y.zip"
    assert any(words in line for line in problems(with_entry(sound, out, *entry)))


def test_files_that_overlap_in_the_archive_are_refused(sound, tmp_path):
    """The bomb without compression: many names for the same bytes."""
    data = sound.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        start, count = file.start_dir, len(file.infolist())
    directory, end = data[start:-22], data[-22:]
    more = b"".join(directory.replace(b"runs/1-", b"runs/%d-" % number) for number in range(2, 9))
    grown = end[:8] + (8 * count).to_bytes(2, "little") * 2 + (len(directory + more)).to_bytes(4, "little") + end[16:]
    (tmp_path / "y.zip").write_bytes(data[:start] + directory + more + grown)
    assert any("declares files of" in line for line in problems(tmp_path / "y.zip"))


@pytest.mark.parametrize("make", [
    lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b""),
    lambda path: path.write_text("hello"), lambda path: zipfile.ZipFile(path, "w").close(),
])
def test_what_is_no_bundle_is_an_input_error(tmp_path, make):
    make(tmp_path / "y.zip")
    with pytest.raises(InputError, match=r"y\.zip: (is no bundle|cannot be checked): "):
        problems(tmp_path / "y.zip")


def test_a_later_format_is_told(sound, tmp_path):
    def change(tree):
        path = tree / "manifest.json"
        path.write_text(path.read_text().replace("bundle-1", "bundle-2"))

    with pytest.raises(InputError, match="'virtmark-bundle-2' is unknown to this virtmark; allowed: virtmark-bundle-1"):
        problems(forged(sound, tmp_path / "y.zip", change, listed=False))


def test_other_software_is_a_note_and_only_then_are_last_digits(sound, tmp_path):
    def digits(tree):
        path = tree / "findings.json"
        document = json.loads(path.read_text())
        document["findings"][0]["estimate"]["estimate"] *= 1 + 1e-15
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def other(tree):
        path = tree / "versions.json"
        path.write_text(path.read_text().replace('"virtmark": "', '"virtmark": "9.'))
        digits(tree)

    (line,) = problems(forged(sound, tmp_path / "y.zip", digits))
    assert line.startswith("findings.json: follows from the evidence but for the last digits: findings[0] (MEM-01 ")
    checked = bundle.verify(forged(sound, tmp_path / "z.zip", other), derived)
    assert checked.problems == ()
    assert "versions.json: written with virtmark 9." in checked.remarks[0]
    assert line == checked.remarks[1]


def test_a_run_that_ended_early_is_well_and_noted(runs, tmp_path):
    path = runs[0] / "steps.jsonl"
    path.write_bytes(b"".join(manifest.lines(path)[:3]))
    store.drop_unfinished(runs[0])
    bundle.write(tmp_path / "y.zip", runs[:1], derived)
    checked = bundle.verify(tmp_path / "y.zip", derived)
    assert checked.problems == ()
    assert checked.remarks == (f"runs/1-{runs[0].name}: 2 of 5 planned steps have no result, such as 'memory#3'",)
