"""Measurements: quality, cost, time."""
