"""What was seen around a workload: this machine by psutil (`watch`), a guest by a small shell loop (`guest`).

    with telemetry.watch(target.clock) as host, telemetry.guest(machine) as inside:
        ...                                                # the step
    host.series(), host.conditions(), inside.series(), inside.conditions(), inside.notes

Times of the series are seconds since the watch began, and a rate or share at time t is that of the interval which
ends at t. In simulated time nothing is sampled, since this machine has then nothing to do with the numbers.
"""

from __future__ import annotations

from harness.telemetry.counters import Sample, series, window
from harness.telemetry.guest import Inside, guest
from harness.telemetry.host import Watch, watch

__all__ = ["Inside", "Sample", "Watch", "guest", "series", "watch", "window"]
