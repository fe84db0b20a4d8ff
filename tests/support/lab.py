"""The lab that is up, for tests that need one: VIRTMARK_STATE says which."""

from __future__ import annotations

import pytest

from drivers.lab.layout import Layout
from drivers.lab.state import living
from harness.errors import LabError


def need(*machines: str) -> Layout:
    """Return the lab that is up and has these machines, or skip with the reason."""
    layout = Layout.current()
    try:
        state = living(layout)
    except LabError as error:
        pytest.skip(str(error))
    if lacking := [machine for machine in machines if machine not in state.machines]:
        pytest.skip(f"the lab that is up has no {', '.join(lacking)}; run: virtmark lab up --stack ...")
    return layout
