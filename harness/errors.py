"""What can go wrong, told apart by who has to act.

    VirtmarkError
    ├── InputError     the person who wrote the file or the command line
    ├── TargetError    the person who runs the platform under test
    ├── ToolError      a measuring tool is missing, failed, or printed something unreadable
    ├── LabError       the embedded lab cannot be built here; the message says what to run
    └── Unsupported    nobody: the platform does not offer what the step needs

Every message is one line: where (file, key, step), what is wrong, what is allowed or what to do.
"""

from __future__ import annotations


class VirtmarkError(Exception):
    """Base of every error that virtmark raises on purpose; the command line prints it as one line."""


class InputError(VirtmarkError):
    """A file or an option is wrong: `file: key.path: what is wrong; what is allowed`."""


class TargetError(VirtmarkError):
    """The platform under test did not do what it was asked."""


class ToolError(VirtmarkError):
    """A measuring tool is missing, failed, or printed something that cannot be read."""


class LabError(VirtmarkError):
    """The embedded lab lacks a right, a program or a kernel feature."""


class Unsupported(VirtmarkError):
    """The platform lacks a capability that the step needs; not a failure."""
