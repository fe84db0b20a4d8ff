"""What live tests of the lab's virtual machines share."""

import os

import pytest

from harness import scenario
from tests.support import lab, labs


@pytest.fixture(scope="session", autouse=True)
def _no_labs_left():
    """Take down what test processes that were killed left standing."""
    if os.geteuid() == 0:
        labs.mend_left()


@pytest.fixture(scope="module")
def layout():
    return lab.need("hA", "hB", "client")


@pytest.fixture(scope="module")
def target(layout):
    target = scenario.target("lab").target
    yield target
    target.close()
