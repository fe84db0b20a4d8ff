"""Settings for every test: properties are judged by what they find, never by how long an example took.

Live tests share one lab, so one process runs them in their order; a second one (`--dist loadgroup`) runs those that
bring what they need.
"""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("virtmark", deadline=None)
settings.load_profile("virtmark")

OWN = {"test_integrity.py", "test_lab_endings.py", "test_targets_ssh.py"}    # a guest, a lab, a server of their own
APART = ("[ssh", "[lab-trixie")     # hosts that no other test touches; but a fault is seen in the whole lab


@pytest.hookimpl(tryfirst=True)     # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("live"):
            own = Path(item.path).name in OWN or (
                any(name in item.name for name in APART) and "TestFaults" not in item.nodeid)
            item.add_marker(pytest.mark.xdist_group("own" if own else "lab"))
