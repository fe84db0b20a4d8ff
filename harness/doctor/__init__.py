"""What can run on this machine, and for each missing part the command that installs it.

`probes` looks and tries, `checks` judges what was seen and is pure. Whether something works is found out by doing
it, in a child process that leaves nothing behind; where that is not possible (KVM), the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.doctor import checks, probes
from harness.doctor.checks import Part, Standing

SECTIONS: tuple[Callable[[], Iterator[Part]], ...] = (
    lambda: checks.python(probes.python()),
    lambda: checks.names(probes.owners()),
    lambda: checks.extras(probes.extras(), probes.checkout(), probes.programs()),
    lambda: checks.tools(probes.tools(), probes.programs()),
    lambda: checks.rights(probes.user(), probes.trials(probes.NAMESPACES)),
    lambda: checks.features(probes.trials(probes.FEATURES)),
    lambda: checks.machine(probes.facts()),
    lambda: checks.kvm(probes.kvm()),
    lambda: checks.space(probes.space(), probes.memory()),
    lambda: checks.fonts(probes.fonts()),
    lambda: checks.time(probes.synchronised()),
    lambda: checks.noise(probes.noise()),
)


def examine() -> tuple[Part, ...]:
    """Return every part with its standing; takes about 3 s, since noise is measured over one.

    A section that fails by itself becomes a part that says so: a doctor who faints helps nobody.
    """
    return tuple(part for section in SECTIONS for part in _careful(section))


def _careful(section: Callable[[], Iterator[Part]]) -> Iterator[Part]:
    try:
        yield from section()
    except Exception as error:
        yield Part(name="doctor", status=Standing.WARN, seen=f"could not look: {type(error).__name__}: {error}",
                   fix="tell the authors of virtmark")


__all__ = ["Part", "Standing", "examine"]
