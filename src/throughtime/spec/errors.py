"""The package's exceptions.

Every message says what was wrong, where (file, line or argument, with both values), and what to do. The command line
prints the message of a `ThroughtimeError` as its one line and ends with exit code 2; anything else is a defect of ours.
"""


class ThroughtimeError(Exception):
    """Base of every error that this package raises on purpose."""


class ShapeError(ThroughtimeError, ValueError):
    """An array has the wrong shape, or lengths do not fit it; the message gives the rule, then both values."""


class OptionError(ThroughtimeError, ValueError):
    """An option has a value that does not exist, or two options contradict each other."""


class DataError(ThroughtimeError, ValueError):
    """Data from the user cannot be used; the message names file, line (or row) and remedy."""


class ConfigError(ThroughtimeError, ValueError):
    """A recipe or configuration is invalid; the message names the key, its value and what is accepted."""


class ModelError(ThroughtimeError, ValueError):
    """A model directory cannot be used: a file is missing or damaged, or its schema is newer than this package."""


class OutputError(ThroughtimeError, OSError):
    """A result cannot be written: the place is taken, not writable, or the disk is full."""


class TrainingError(ThroughtimeError, RuntimeError):
    """Training had to stop (for example, the loss stayed non-finite); the last good model is kept."""
