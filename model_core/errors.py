"""Errors a caller of model_core acts on; wrong arguments raise plain ``ValueError``.

OfframpError
├── InputError        the photo, the text or the policy asked for cannot be used: a 4xx
├── ConfigError       a YAML file or an override is wrong: exit code 2
└── CheckpointError   a checkpoint is damaged, incomplete or of another kind: start-up stops
"""


class OfframpError(Exception):
    """Base of every error that model_core raises on purpose."""


class InputError(OfframpError, ValueError):
    """A request cannot be used; the message says what was wrong and what is allowed."""


class ConfigError(OfframpError, ValueError):
    """A configuration file or override is wrong; the message names the field."""


class CheckpointError(OfframpError):
    """A checkpoint cannot be loaded; the message names the file."""
