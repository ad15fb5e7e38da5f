"""Pieces of the command line."""
