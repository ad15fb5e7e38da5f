"""Commands of ``python -m serve`` beside the service itself."""
