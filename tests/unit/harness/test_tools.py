"""Missing tools are found by one command and named with what installs them."""

import subprocess

from harness import tools
from harness.protocols import Completed


class Here:
    """This machine, counting commands."""

    name = "here"

    def __init__(self):
        self.calls = 0

    def run(self, argv, *, timeout, stdin=b""):
        self.calls += 1
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        return Completed(argv=tuple(argv), code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_what_is_missing_is_found_by_one_command():
    here = Here()
    assert tools.missing(here, ["sh", "no-such-tool", "cat", "nor; this"]) == ["no-such-tool", "nor; this"]
    assert here.calls == 1
    assert tools.missing(here, []) == []
    assert here.calls == 1


def test_the_advice_names_packages():
    assert tools.advice(["cyclictest"], "on guest x") == (
        "cyclictest is missing on guest x; there, run: apt-get install rt-tests")
    assert tools.advice(["fio", "ping", "unheard-of"], "on guest x") == (
        "fio, ping, unheard-of are missing on guest x; there, run: apt-get install fio iputils-ping unheard-of")


def test_every_row_of_the_table_is_a_program_and_a_package():
    known = tools.packages_by_tool()
    assert known["fio"] == "fio"
    assert "-" not in known
    assert all(" " not in package for package in known.values())
