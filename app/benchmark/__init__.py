"""The benchmark's results as the page shows them: files, curves, figures and words."""
