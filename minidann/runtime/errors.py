"""What can go wrong through no fault of the code.

Each message is one sentence that names the value and the remedy.
"""


class InputError(ValueError):
    """A file, an option or an array that cannot be used."""


def in_words(error: BaseException) -> str:
    """What an error says, without the number and the path that the system adds to it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class TrainingError(ArithmeticError):
    """A loss that is no longer a finite number."""
