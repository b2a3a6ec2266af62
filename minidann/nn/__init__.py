"""The pieces of a network, each with its derivative written by hand."""

from minidann.nn.activations import Flatten, ReLU, Sigmoid
from minidann.nn.batchnorm import BatchNorm
from minidann.nn.conv import Conv2D
from minidann.nn.dense import Dense
from minidann.nn.dropout import Dropout
from minidann.nn.layer import Layer, Sequential
from minidann.nn.pool import MaxPool2D
from minidann.nn.reversal import GradientReversal

__all__ = [
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GradientReversal",
    "Layer",
    "MaxPool2D",
    "ReLU",
    "Sequential",
    "Sigmoid",
]
