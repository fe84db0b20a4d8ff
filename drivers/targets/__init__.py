"""Platforms under test; the file name is the driver's name."""
