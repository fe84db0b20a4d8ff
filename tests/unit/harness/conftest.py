"""The toy workload and target of tests/plugins, found like any other driver: by the name of their file."""

from pathlib import Path

import pytest

import drivers.targets
import drivers.workloads

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    for package in (drivers.workloads, drivers.targets):
        folder = PLUGINS / package.__name__.partition(".")[2]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
