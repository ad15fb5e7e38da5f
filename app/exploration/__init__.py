"""Sweeps over a visitor's own photos: examples, settings, answers, points, figures and files."""
