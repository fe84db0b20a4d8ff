"""Every test draws its own numbers: which tests ran before on the same worker must not matter."""

import pytest


@pytest.fixture(autouse=True)
def _own_numbers(request):
    """Put the random numbers of a test's module back to where they were when the module had been loaded."""
    rng = getattr(request.module, "RNG", None)
    if rng is not None:
        generator = rng.bit_generator
        generator.state = vars(request.module).setdefault("_loaded", generator.state)
