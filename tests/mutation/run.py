"""Make the classic errors on purpose, one at a time in a copy of the tree, and show which test notices each.

    .venv/bin/python tests/mutation/run.py            all mutants of mutants.py; exit code 1 if one survives
    .venv/bin/python tests/mutation/run.py ddof       those whose name contains "ddof"
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.mutation.mutants import MUTANTS  # noqa: E402

NEEDED = ("harness", "tests/unit/stats", "tests/data/statistics", "tests/support", "tests/conftest.py",
          "pyproject.toml")


def copy_tree(to):
    """Copy what the statistics tests need into the folder `to`."""
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)


def failing_test(tree, tests):
    """Run test files in `tree`; return the id of the first test that fails, None if all pass.

    Anything but passed or failed tests (a copy that does not even collect) is an error of this script, not a kill.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not statistics", *tests],
        cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(tests)}: pytest could not run: {done.stdout[-2000:]}{done.stderr[-500:]}")
    if done.returncode == 0:
        return None
    named = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    return named[1] if named else "(a test that pytest did not name)"


def survives(mutant):
    """Apply one mutant to a fresh copy; return the test that noticed, None if none did."""
    with tempfile.TemporaryDirectory(prefix="virtmark-mutant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        file = tree / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant.name}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}")
        file.write_text(text.replace(mutant.old, mutant.new))
        return failing_test(tree, mutant.tests)


def sound():
    """Return the test that fails without any mutant, None if all pass: a kill means nothing otherwise."""
    with tempfile.TemporaryDirectory(prefix="virtmark-mutant-") as folder:
        copy_tree(Path(folder))
        return failing_test(Path(folder), sorted({test for mutant in MUTANTS for test in mutant.tests}))


def main(part=""):
    """Print one line per mutant; return how many survived."""
    broken = sound()
    if broken:
        print(f"without any mutant {broken} fails; repair that first")
        return 1
    alive = 0
    for mutant in (m for m in MUTANTS if part in m.name):
        killer = survives(mutant)
        alive += killer is None
        print(f"{'SURVIVES' if killer is None else 'killed':<9} {mutant.name:<45} {killer or mutant.file}", flush=True)
    print(f"{alive} survived" if alive else "every mutant was noticed")
    return alive


if __name__ == "__main__":
    sys.exit(min(1, main(*sys.argv[1:2])))
