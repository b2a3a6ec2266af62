"""Domain-adversarial training of neural networks, every derivative written by hand in NumPy."""

from minidann.dann import DANN

__all__ = ["DANN"]
__version__ = "0.1.0"
