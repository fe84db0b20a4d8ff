"""The changes that CONTRIBUTING shows are real: each can be applied to the tree as it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIFFS = dict(re.findall(r"^## (An? \w+)\n.*?^````diff\n(.*?)^````$", (ROOT / "CONTRIBUTING.md").read_text(),
                        re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("name", ["A workload", "An indicator", "A target", "A chart"])
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed; it applies the changes")
def test_the_change_applies(name):
    done = subprocess.run(["git", "apply", "--check", "-C1", "-"], input=DIFFS[name], cwd=ROOT,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
