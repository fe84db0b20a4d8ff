"""Scenarios, targets and profiles, shipped as package data."""
