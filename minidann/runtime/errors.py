"""What can go wrong through no fault of the code.

Each message is one sentence that names the value and the remedy.
"""


class InputError(ValueError):
    """A file, an option or an array that cannot be used."""


class TrainingError(ArithmeticError):
    """A loss that is no longer a finite number."""
