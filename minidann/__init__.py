"""Domain-adversarial training of neural networks, every derivative written by hand in NumPy."""

from minidann.dann import DANN
from minidann.runtime.threads import get_num_threads, set_num_threads
from minidann.runtime.twins import plain

__all__ = ["DANN", "get_num_threads", "plain", "set_num_threads"]
__version__ = "0.1.0"
