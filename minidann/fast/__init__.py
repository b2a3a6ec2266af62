"""The fast twins of the classes of ``minidann.nn``: the same results, sooner.

They run by default; within ``minidann.plain()`` the lesson runs instead. A twin has the name of its
class and those methods that are worth replacing, which take the layer as ``self``: see
:mod:`minidann.runtime.twins`.
"""

from minidann.fast.convolution import Conv2D
from minidann.fast.flat import SGD, Adam
from minidann.fast.normalization import BatchNorm
from minidann.fast.pooling import MaxPool2D
from minidann.fast.products import Dense

__all__ = ["SGD", "Adam", "BatchNorm", "Conv2D", "Dense", "MaxPool2D"]
