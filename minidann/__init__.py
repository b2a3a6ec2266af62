"""Domain-adversarial training of neural networks, every derivative written by hand in NumPy."""

from minidann.dann import DANN
from minidann.runtime.twins import plain

__all__ = ["DANN", "plain"]
__version__ = "0.1.0"
