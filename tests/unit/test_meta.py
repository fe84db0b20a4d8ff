"""House rules that hold for every file, checked by reading the files; and what is shipped, checked by building it."""

import ast
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from harness.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SHIPPED = ("harness", "drivers", "analysis", "scenarios")
LINES, FUNCTION_LINES = 400, 40
EMPTY_WORDS = {"manager", "helper", "helpers", "util", "utils", "handler", "factory", "impl"}


def sources(*tops):
    return {path: ast.parse(path.read_text(encoding="utf-8"), str(path))
            for top in tops for path in sorted((ROOT / top).rglob("*.py"))}


CODE, TESTS = sources(*SHIPPED), sources("tests")


def name(path):
    return path.relative_to(ROOT).as_posix()


def walk(trees, *kinds):
    return ((f"{name(path)}:{node.lineno}", node) for path, tree in trees.items() for node in ast.walk(tree)
            if isinstance(node, kinds))


def called(node):
    """Return the dotted name of what a call calls, as far as it is one."""
    parts, at = [], node.func
    while isinstance(at, ast.Attribute):
        parts.append(at.attr)
        at = at.value
    return ".".join(reversed([*parts, at.id])) if isinstance(at, ast.Name) else ""


def imports(trees):
    for where, node in walk(trees, ast.Import, ast.ImportFrom):
        module = getattr(node, "module", None)
        for alias in node.names:
            yield where, f"{module}.{alias.name}" if module else alias.name


def test_files_are_short():
    long = {name(path): len(path.read_text().splitlines()) for path in CODE | TESTS
            if len(path.read_text().splitlines()) > LINES}
    assert long == {}


def test_functions_are_short():
    long = {f"{where} {node.name}": node.end_lineno - node.lineno + 1
            for where, node in walk(CODE, ast.FunctionDef, ast.AsyncFunctionDef)
            if node.end_lineno - node.lineno + 1 > FUNCTION_LINES}
    assert long == {}


def test_every_module_says_what_it_is():
    mute = [name(path) for path, tree in CODE.items() if not ast.get_docstring(tree)]
    assert mute == []


def test_only_the_command_line_prints():
    printing = [where for where, node in walk(CODE, ast.Call)
                if called(node) == "print" and not where.startswith("harness/cli")]
    assert printing == []


def test_names_say_something():
    names = [(where, node.name) for where, node in
             walk(CODE, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)] + [(name(p), p.stem) for p in CODE]

    def words(text):
        return set("".join(f"_{c.lower()}" if c.isupper() else c for c in text).split("_"))

    assert [(where, text) for where, text in names if words(text) & EMPTY_WORDS] == []


def test_no_test_mocks():
    assert [where for where, module in imports(TESTS) if "mock" in module.split(".")] == []
    fixtures = [f"{where} {arg.arg}" for where, node in walk(TESTS, ast.FunctionDef) for arg in node.args.args
                if arg.arg == "mocker"]
    assert fixtures == []


def test_no_test_sleeps_for_luck():
    looking = {id(call) for _, loop in walk(TESTS, ast.While) for call in ast.walk(loop)}  # between two looks is fine
    sleeping = [where for where, node in walk(TESTS, ast.Call)
                if called(node) in ("time.sleep", "sleep") and id(node) not in looking]
    assert sleeping == []


def test_the_wheel_carries_every_file_of_the_four_folders_and_nothing_else(tmp_path):
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling, which is not installed here")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True,
                   capture_output=True)
    wheel = zipfile.ZipFile(next(tmp_path.glob("virtmark-*.whl")))
    shipped = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
    tracked = {name(path) for top in SHIPPED for path in (ROOT / top).rglob("*")
               if path.is_file() and "__pycache__" not in path.parts}
    assert shipped == tracked
    assert {"harness/py.typed", "harness/fingerprint/facts.sh", "harness/telemetry/guest.sh", "drivers/packages.txt",
            "scenarios/quick.toml"} <= shipped
    assert any(entry.startswith("analysis/templates/") for entry in shipped)
    licences = [entry for entry in wheel.namelist() if entry.endswith("licenses/LICENSE")]
    assert len(licences) == 1


def commands(text):
    """Yield the words that follow `virtmark` in code: lines of fenced or indented blocks, and code spans."""
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        spans = [line] if fenced or line.startswith("    ") else line.split("`")[1::2]
        for span in spans:
            words = span.strip().removeprefix("$ ").split()
            for before, word in pairwise(words):
                if before.rpartition("/")[2] == "virtmark" and word.isalpha() and word.islower():
                    yield word


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))],
                         ids=lambda path: path.name)
def test_commands_in_the_documents_exist(path):
    if not path.exists():
        pytest.skip(f"no {path.name} yet")
    assert set(commands(path.read_text(encoding="utf-8"))) - COMMANDS.keys() == set()


def test_commands_are_found_in_documents():
    text = "`virtmark lab up`, or\n\n    $ .venv/bin/virtmark doctor --json\n\n```\nvirtmark run x\n```\nvirtmark is"
    assert list(commands(text)) == ["lab", "doctor", "run"]


def test_help_lists_every_command():
    argv = [sys.executable, "-m", "harness", "--help"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.split()}
    assert COMMANDS.keys() <= listed
