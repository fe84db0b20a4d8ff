"""A short run on the simulated target, for tests of what becomes of a run."""

from harness.cli import main

SCENARIO = """
name = "short"
title = "Short"
[repetition]
rounds = 5
[[stage]]
workload = "memory"
params = { measure = "bandwidth", span = "64MiB", duration = "1s" }
"""


def measured(folder, *targets):
    """Run `SCENARIO` in `folder` on the simulated target, or on these; return the run folders in the targets' order.

    A target is the stem of a file that this makes in `folder`, or "fake".
    """
    (folder / "short.toml").write_text(SCENARIO)
    argv = ["run", str(folder / "short.toml"), "--out", str(folder / "results")]
    for name in targets or ("fake",):
        file = folder / f"{name}.toml"
        if name != "fake":
            file.write_text('driver = "fake"\n')
        argv += ["--target", name if name == "fake" else str(file)]
    assert main(argv) == 0
    return [next((folder / "results" / name).glob("2*")) for name in targets or ("fake",)]
