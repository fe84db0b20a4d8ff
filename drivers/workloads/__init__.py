"""Kinds of load; the file name is the workload's name."""
