"""Measurements of the service against its bars, each a ratio within one run on one machine."""
