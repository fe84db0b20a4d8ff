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


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("live"):
            own = Path(item.path).name in OWN or "[ssh]" in item.name
            item.add_marker(pytest.mark.xdist_group("own" if own else "lab"))
