"""Help is cheap because nothing heavy is imported for it, and every command of the table is there."""

import importlib
import json
import subprocess
import sys

import pytest

from harness.cli import COMMANDS, main, virtmark

HEAVY = {"numpy", "scipy", "matplotlib", "msgspec", "rich", "jinja2", "psutil", "libvirt", "docker", "duckdb",
         "pyarrow"}


def imported_by(*argv: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has imported after running a command line."""
    code = ("import json, sys; from harness.cli import main; main(sys.argv[1:]); "
            "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("argv", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(argv):
    assert imported_by(*argv) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_commands_imports_nothing_heavy(name):
    assert imported_by(name, "--help") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_has_help(name, capsys):
    module = importlib.import_module(f"harness.cli.{COMMANDS[name][0]}")
    assert module.COMMANDS[name].name == name
    assert main([name, "--help"]) == 0
    assert "Usage: virtmark" in capsys.readouterr().out


def test_the_table_is_what_help_shows(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert virtmark.list_commands(None) == list(COMMANDS)


def test_an_unknown_command_is_one_error_and_exit_2(capsys):
    assert main(["measure"]) == 2
    assert "No such command 'measure'" in capsys.readouterr().err
