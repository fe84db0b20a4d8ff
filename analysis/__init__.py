"""Rows, charts and reports from run folders and findings; never runs anything."""
