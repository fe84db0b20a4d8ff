"""Evidence in one file: runs, profiles, answers, findings and report in a zip archive, with hashes of all of it.

    runs/<n>-<folder>/   each run folder as it is        findings.json  assessments.json  report/   what follows from it
    profiles/<n>-<name>.toml  answers/<n>/               versions.json                              by which software
    manifest.json        size and SHA-256 of each file, and a chain over the lines of each run
    manifest.json.sig    signature of the manifest, where there is one

The one thing to know: a bundle is a pure function of its files. To check one, virtmark takes it apart, writes it anew
and compares every byte, then derives the findings again from the raw evidence. Files are stored as they are, since
what compressors write differs from one version of theirs to the next.
"""

from __future__ import annotations

from harness.bundle.checking import Check, Checked, Signed, verify
from harness.bundle.gathering import Derive, Inside
from harness.bundle.writing import Sign, Written, versions, write

__all__ = ["Check", "Checked", "Derive", "Inside", "Sign", "Signed", "Written", "verify", "versions", "write"]
