"""`virtmark bundle` and `verify` as a user calls them: refusals, signatures, what is left behind, and the documents."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from harness.bundle import archive, manifest
from harness.cli import main
from tests.support import simulated

ROOT = Path(__file__).parents[3]
REQUIREMENT = """
[[requirement]]
indicator = "MEM-01"
limit = ">= 1 MB/s"
source = "user"
"""
STANDARD = """
name = "care"
title = "Care"
[[clause]]
id = "1"
title = "Care"
title_zh = "服务"
question = "Is there staff?"
question_zh = "有人员？"
evidence = "a list"
evidence_zh = "名单"
signs = "operator"
"""
ANSWERS = """
profile = "care"
[[answer]]
clause = "1"
answer = "yes"
evidence = ["{evidence}", "a word of honour"]
signed_by = "Bo"
date = "2026-01-31"
"""
WHO = "alice@example.org"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return simulated.measured(tmp_path_factory.mktemp("measured"))[0]


@pytest.fixture
def run(measured, tmp_path):
    return str(shutil.copytree(measured, tmp_path / "run"))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in a folder of its own, and see that nothing is left: no temporary folder, no half a bundle."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(scratch.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Return the keys of alice and of somebody else, with a file that allows alice."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is missing here: apt-get install openssh-client")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "mallory"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / f"{name}.allowed").write_text(f'{WHO} namespaces="virtmark" {(folder / f"{name}.pub").read_text()}')
    return folder


def refused(capsys, *argv):
    """Return the one line that a command which could not be done says."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("virtmark: ")
    return said


def listed_anew(path, change):
    """Change the files of a bundle and make hashes and chains anew; the signature stays as it is."""
    with zipfile.ZipFile(path) as file:
        file.extractall("tree")
    tree = Path("tree")
    change(tree)
    (tree / "manifest.json").write_bytes(
        manifest.text(manifest.listed(tree, manifest.read(tree / "manifest.json", path))))
    with Path(path).open("wb") as file:
        archive.pack(tree, file)


def test_a_bundle_is_written_and_well(run, capsys):
    assert main(["bundle", run, "-o", "x.zip", "--no-report"]) == 0
    said = capsys.readouterr()
    assert said.out == "x.zip\n"
    assert said.err.startswith("runs: 1, files: 11, 0.03 MB, not signed")
    assert main(["verify", "x.zip"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "x.zip: not signed: hashes tell accidents, not who wrote it",
        "x.zip: well: the findings follow from the evidence; runs: 1, steps: 5, files: 10"]
    assert main(["verify", "x.zip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bundle": "x.zip", "well": True, "problems": [], "remarks": [], "signature": "none", "files": 10, "runs": 1,
        "steps": 5}


def test_the_report_is_in_it_and_names_the_runs_of_the_bundle(run, capsys):
    assert main(["bundle", run, "-o", "x.zip", "--lang", "zh"]) == 0
    assert main(["bundle", run, "-o", "y.zip", "--lang", "zh"]) == 0
    assert Path("x.zip").read_bytes() == Path("y.zip").read_bytes()
    with zipfile.ZipFile("x.zip") as file:
        page = file.read("report/report.html").decode()
        assert file.read("report/findings.json") == file.read("findings.json")
    assert "runs/1-run" in page
    assert str(Path.cwd()) not in page
    assert main(["verify", "x.zip"]) == 0
    listed_anew("x.zip", lambda tree: (tree / "report/findings.json").write_text("{}"))
    assert main(["verify", "x.zip"]) == 1
    assert "x.zip: report/findings.json: is not the same as findings.json\n" in capsys.readouterr().out


def test_damage_is_named_and_is_exit_1(run, capsys):
    main(["bundle", run, "-o", "x.zip", "--no-report"])
    data = Path("x.zip").read_bytes()
    Path("x.zip").write_bytes(data.replace(b"sysbench 1.0", b"sysbench 9.0", 1))
    capsys.readouterr()
    assert main(["verify", "x.zip"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(r"x\.zip: runs/1-run/raw/\d+-memory#0/01-sysbench\.out: is damaged: Bad CRC-32", line)
    assert main(["verify", "x.zip", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["well"] is False


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("hello"), lambda path: path.mkdir()])
def test_what_is_no_bundle_is_exit_2(place, capsys, make):
    make(place / "x.zip")
    assert "x.zip: " in refused(capsys, "verify", "x.zip")


def test_profiles_come_with_all_that_they_extend(run, place, capsys):
    Path("base.toml").write_text(f'name = "base"\ntitle = "Base"\n{REQUIREMENT}')
    Path("over.toml").write_text("# extends = \"x\"\nextends = 'base.toml'  # and more\nname = \"over\"\n")
    Path("top.toml").write_text('name = "top"\nextends = "./over.toml"\ndescription = """\nextends = "y"\n"""\n')
    assert main(["bundle", run, "-o", "x.zip", "--no-report", "-p", "./top.toml", "-p", "example"]) == 0
    with zipfile.ZipFile("x.zip") as file:
        names = [name for name in file.namelist() if name.startswith("profiles/")]
        assert names == [f"profiles/{name}.toml" for name in ("1-top", "2-over", "3-base", "4-example")]
        assert file.read("profiles/2-over.toml") == Path("over.toml").read_bytes()
        findings = json.loads(file.read("findings.json"))["findings"]
    assert {"user"} <= {each["requirement"]["source"] for each in findings if each["requirement"]}
    for name in ("base", "over", "top"):
        Path(f"{name}.toml").unlink()
    assert main(["verify", "x.zip"]) == 0
    listed_anew("x.zip", lambda tree: (tree / "profiles/3-base.toml").write_text(
        f'name = "base"\ntitle = "Base"\n{REQUIREMENT.replace("1 MB", "1 TB")}'))
    capsys.readouterr()
    assert main(["verify", "x.zip"]) == 1
    assert "findings.json: does not follow from the evidence: findings[" in capsys.readouterr().out


def test_answers_come_with_their_documents(run, place, capsys):
    Path("care.toml").write_text(STANDARD)
    Path("said").mkdir()
    Path("said/mine.toml").write_text(ANSWERS.format(evidence="名单.txt"))
    Path("said/名单.txt").write_text("Bo")
    argv = ["bundle", run, "-o", "x.zip", "--no-report", "-p", "./care.toml", "--attest", "said/mine.toml"]
    assert main(argv) == 0
    shutil.rmtree("said")
    assert main(["verify", "x.zip"]) == 0
    with zipfile.ZipFile("x.zip") as file:
        assert file.read("answers/1/名单.txt") == b"Bo"
        assert json.loads(file.read("assessments.json"))[0]["clauses"][0]["holds"] is True
    listed_anew("x.zip", lambda tree: (tree / "answers/1/名单.txt").write_text("Bo and Ed"))
    capsys.readouterr()
    assert main(["verify", "x.zip"]) == 1
    assert "assessments.json: does not follow from the evidence: [0].clauses[0] (1)" in capsys.readouterr().out


def test_a_document_elsewhere_is_refused(run, place, capsys):
    Path("care.toml").write_text(STANDARD)
    Path("said").mkdir()
    Path("list.txt").write_text("Bo")
    Path("said/mine.toml").write_text(ANSWERS.format(evidence="../list.txt"))
    said = refused(capsys, "bundle", run, "-o", "x.zip", "-p", "./care.toml", "--attest", "said/mine.toml")
    assert "said/mine.toml: evidence: '../list.txt' is a file elsewhere; put it beside the answers" in said


def torn(run):
    with (run / "steps.jsonl").open("ab") as file:
        file.write(b'{"step":')


@pytest.mark.parametrize(("spoil", "words"), [
    (torn, "run/steps.jsonl: the last line is torn, since the run was cut off; go on with it first: virtmark run --"),
    (lambda run: (run / "run.json").unlink(), "run: is no run folder"),
    (lambda run: (run / "run.json").write_text("{}"), "run/run.json: "),
    (lambda run: (run / "steps.jsonl").unlink(), "run/steps.jsonl: No such file or directory"),
    (lambda run: next(run.glob("raw/*/*")).write_text("x"), "run/raw/"),
    (lambda run: (run / "raw/link").symlink_to("/etc"), "run/raw/link: is a link or no regular file"),
    (lambda run: os.mkfifo(run / "pipe"), "run/pipe: is a link or no regular file"),
    (lambda run: (run / 'a"b').write_text("x"), 'run/a"b: holds characters that no path of a bundle may'),
])
def test_a_run_that_cannot_be_bundled_is_refused(run, place, capsys, spoil, words):
    spoil(Path(run))
    assert words in refused(capsys, "bundle", run, "-o", "x.zip", "--no-report")
    assert not Path("x.zip").exists()


def test_a_run_that_is_being_measured_is_refused(run, capsys):
    with (Path(run) / "steps.jsonl").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = refused(capsys, "bundle", run, "-o", "x.zip", "--no-report")
    assert "run: is being measured by another virtmark process; wait for its end" in said


def test_only_a_bundle_is_replaced(run, place, capsys):
    Path("x.zip").write_text("my diary")
    assert "x.zip: is there already and is no bundle" in refused(capsys, "bundle", run, "-o", "x.zip")
    zipfile.ZipFile("x.zip", "w").close()
    assert "x.zip: is there already and is no bundle" in refused(capsys, "bundle", run, "-o", "x.zip")
    Path("x.zip").unlink()
    assert main(["bundle", run, "-o", "x.zip", "--no-report", "-p", "example"]) == 0
    assert main(["bundle", run, "-o", "x.zip", "--no-report"]) == 0
    assert Path("x.zip").stat().st_mode & 0o777 == 0o644
    assert main(["verify", "x.zip"]) == 0


@pytest.mark.parametrize(("out", "words"), [
    ("run/raw/x.zip", "lies in the run folder"), ("none/x.zip", "there is no folder none"),
    ("scratch", "is there already and is no bundle"),
])
def test_a_place_that_is_none_is_refused(run, place, capsys, out, words):
    assert words in refused(capsys, "bundle", run, "-o", out, "--no-report")


@pytest.mark.parametrize(("trouble", "words"), [
    (KeyboardInterrupt(), "virtmark: interrupted"),
    (OSError(28, "No space left on device"), "virtmark: x.zip: cannot be written: No space left on device; choose "),
])
def test_a_bundle_that_is_cut_off_leaves_the_one_before(run, place, capsys, monkeypatch, trouble, words):
    def cut(file):
        raise trouble

    main(["bundle", run, "-o", "x.zip", "--no-report"])
    before = Path("x.zip").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut)
        assert main(["bundle", run, "-o", "x.zip", "-p", "example", "--no-report"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(words)
    assert Path("x.zip").read_bytes() == before
    assert sorted(path.name for path in place.iterdir()) == ["run", "scratch", "x.zip"]


def test_a_signature_is_checked(run, keys, capsys):
    argv = ["bundle", run, "--no-report", "--sign", str(keys / "alice")]
    assert main([*argv, "-o", "x.zip"]) == main([*argv, "-o", "y.zip"]) == 0
    assert Path("x.zip").read_bytes() == Path("y.zip").read_bytes()
    assert f"signed with {keys / 'alice'}" in capsys.readouterr().err
    assert main(["verify", "x.zip", "--signers", str(keys / "alice.allowed")]) == 0
    assert f"x.zip: signature good: {WHO}\n" in capsys.readouterr().out
    assert main(["verify", "x.zip"]) == 0
    assert "x.zip: signed, not checked: give --signers\n" in capsys.readouterr().out


def test_a_wrong_signer_and_no_signature_are_exit_1(run, keys, capsys):
    main(["bundle", run, "-o", "x.zip", "--no-report", "--sign", str(keys / "mallory")])
    main(["bundle", run, "-o", "y.zip", "--no-report"])
    capsys.readouterr()
    assert main(["verify", "x.zip", "--signers", str(keys / "alice.allowed")]) == 1
    assert f"x.zip: manifest.json.sig: is of nobody in {keys}/alice.allowed: " in capsys.readouterr().out
    assert main(["verify", "y.zip", "--signers", str(keys / "alice.allowed")]) == 1
    assert "y.zip: manifest.json.sig: is missing: the bundle is not signed\n" in capsys.readouterr().out


def test_a_signature_for_another_purpose_does_not_count(run, keys, capsys):
    main(["bundle", run, "-o", "x.zip", "--no-report", "--sign", str(keys / "alice")])

    def mail(tree):
        (tree / "manifest.json.sig").unlink()
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "email", "-f", keys / "alice", tree / "manifest.json"],
                       check=True, capture_output=True)

    listed_anew("x.zip", mail)
    capsys.readouterr()
    assert main(["verify", "x.zip", "--signers", str(keys / "alice.allowed")]) == 1
    assert "x.zip: manifest.json.sig: " in capsys.readouterr().out


@pytest.mark.parametrize("change", [
    lambda lines: [lines[1], lines[0], *lines[2:]],
    lambda lines: [lines[0].replace(b'"done"', b'"done" '), *lines[1:]],
])
def test_only_the_signature_tells_what_findings_do_not_rest_on(run, keys, capsys, change):
    main(["bundle", run, "-o", "x.zip", "--no-report", "--sign", str(keys / "alice")])
    path = Path("tree/runs/1-run/steps.jsonl")
    listed_anew("x.zip", lambda tree: path.write_bytes(b"".join(change(manifest.lines(path)))))
    capsys.readouterr()
    assert main(["verify", "x.zip", "--signers", str(keys / "alice.allowed")]) == 1
    (line, *_) = capsys.readouterr().out.splitlines()
    assert line.startswith("x.zip: manifest.json.sig: does not fit manifest.json: ")


def test_a_key_that_is_none_leaves_no_file(run, keys, capsys, monkeypatch):
    Path("bad").write_text("no key\n")
    Path("bad").chmod(0o600)
    said = refused(capsys, "bundle", run, "-o", "x.zip", "--no-report", "--sign", "bad")
    assert "--sign: bad: ssh-keygen cannot sign with it: " in said
    said = refused(capsys, "bundle", run, "-o", "x.zip", "--no-report", "--sign", "none")
    assert "--sign: none: No such file or directory" in said
    assert not Path("x.zip").exists()
    assert "--signers: none: No such file" in refused(capsys, "verify", "x.zip", "--signers", "none")
    monkeypatch.setenv("PATH", "/nowhere")
    for argv in (["bundle", run, "-o", "x.zip", "--no-report", "--sign", str(keys / "alice")],
                 ["verify", "x.zip", "--signers", str(keys / "alice.allowed")]):
        assert "ssh-keygen is missing here; run: apt-get install openssh-client" in refused(capsys, *argv)
    assert not Path("x.zip").exists()


@pytest.mark.parametrize("spoil", [None, "run.json", "steps.jsonl", "raw"])
def test_the_commands_in_the_document_check_a_bundle_without_virtmark(run, keys, place, spoil):
    if missing := [tool for tool in ("unzip", "sha256sum") if not shutil.which(tool)]:
        pytest.skip(f"{missing[0]} is missing here")
    (script,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/evidence.md").read_text(), re.DOTALL)
    main(["bundle", run, "-o", "evidence.zip", "--no-report", "-p", "example", "--sign", str(keys / "alice")])
    if spoil:
        with zipfile.ZipFile("evidence.zip") as file:
            file.extractall("tree")
        path = next(Path("tree", name) for name in manifest.names(Path("tree")) if f"1-run/{spoil}" in name)
        path.write_bytes(path.read_bytes().replace(b"0", b"1"))
        with Path("evidence.zip").open("wb") as file:
            archive.pack(Path("tree"), file)
    shutil.copy(keys / "alice.allowed", "allowed_signers")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    if spoil:
        assert done.returncode != 0
        assert "FAILED" in done.stdout
    else:
        assert done.stdout.splitlines()[:2] == ["good", WHO]
        assert done.returncode == 0, done.stderr
