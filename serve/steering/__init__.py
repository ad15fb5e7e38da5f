"""Depth under load, and audits: which preset a request gets in place of the one it asked for."""
