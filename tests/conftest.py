"""Settings for every test: properties are judged by what they find, never by how long an example took.

Live tests share one lab, so one process runs them in their order. Those that bring what they need are marked `own`, and
`make test-live` runs them beside the others.
"""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("virtmark", deadline=None)
settings.load_profile("virtmark")

OWN = {"test_beside.py", "test_integrity.py", "test_lab_endings.py", "test_links.py", "test_load.py",
       "test_targets_ssh.py"}       # with labs and servers of their own
APART = ("[ssh", "[lab-trixie")     # hosts that no other test touches; but a fault is seen in the whole lab


def pytest_itemcollected(item):
    if item.get_closest_marker("live") and (Path(item.path).name in OWN or (
            any(name in item.name for name in APART) and "TestFaults" not in item.nodeid)):
        item.add_marker(pytest.mark.own)
