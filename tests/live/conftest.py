"""What live tests of the lab's virtual machines share."""

import pytest

from harness import scenario
from tests.support import lab


@pytest.fixture(scope="module")
def layout():
    return lab.need("hA", "hB", "client")


@pytest.fixture(scope="module")
def target(layout):
    target = scenario.target("lab").target
    yield target
    target.close()
