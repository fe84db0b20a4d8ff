"""What a user waits for before anything happens: help beside an empty interpreter, the statistics core beside numpy."""

import subprocess
import sys

import pytest


def run(*argv: str):
    return lambda: subprocess.run([sys.executable, *argv], check=True, capture_output=True)


@pytest.mark.benchmark(group="start-up: help beside an empty interpreter")
@pytest.mark.parametrize(("name", "argv"), [
    ("python -c pass", ["-c", "pass"]),
    ("virtmark --help", ["-m", "harness", "--help"]),
    ("virtmark run --help", ["-m", "harness", "run", "--help"]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_help(benchmark, name, argv):
    benchmark.pedantic(run(*argv), rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="start-up: statistics core beside numpy")
@pytest.mark.parametrize("module", ["numpy", "harness.stats", "scipy.stats"])
def test_import(benchmark, module):
    benchmark.pedantic(run("-c", f"import {module}"), rounds=5, warmup_rounds=1)
