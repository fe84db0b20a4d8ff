"""Measuring tools: for each a pure `argv` builder and a pure `parse`; nothing here runs anything."""
