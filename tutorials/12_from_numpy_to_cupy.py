"""
From NumPy to CuPy
==================

The same hand-written network, on a GPU. What changes in the code: almost nothing. What changes in
the costs: nearly everything. After this tutorial you can say, for a line of NumPy code, what it
would cost on a GPU, and how to see it.

Every cell runs on a machine without a GPU as well; where there is one that works, the same cells
use it.
"""

# %%
# The cell prints where this page ran, and why not on a GPU if it did not.

import time

import numpy as np

from minidann.data import Batches
from minidann.data.preprocessing import normalize
from minidann.experiments import recipes
from minidann.nn import Dense, ReLU, Sequential
from minidann.nn.losses import softmax_cross_entropy
from minidann.nn.optimizers import SGD
from minidann.runtime.arrays import (
    array_module,
    device_name,
    fused,
    synchronize,
    to_device,
    to_host,
)
from minidann.runtime.device import transfer_to, why_no_gpu

transfer = transfer_to("auto")  # a function: takes an array to the GPU, or leaves it where it is
here = transfer(np.zeros(1, np.float32))
print("working on:", device_name(here))
print(why_no_gpu() or "A GPU answers.")

# %%
# 1. What changes: where the array lives
# --------------------------------------
#
# CuPy is NumPy's interface over again, for arrays in a GPU's memory. A function that asks each
# array for the module it belongs to runs on both. This is the whole of it::
#
#     xp = array_module(x)            numpy, or cupy
#     xp.maximum(x, 0)
#
# Methods and operators (``x @ W``, ``dy.sum(axis=0)``, ``x.reshape(...)``) need not even that. So
# ``Dense`` holds no word about GPUs, and a network goes there by moving its parameters:


def relu(x):
    return array_module(x).maximum(x, 0)


rng = np.random.default_rng(0)
network = Sequential([Dense(4, 8, rng=rng), ReLU(), Dense(8, 3, rng=rng)]).convert(transfer)
x = transfer(np.random.default_rng(2).standard_normal((5, 4), dtype=np.float32))
logits = network.forward(x)
print(
    type(logits).__module__,
    logits.shape,
    "and back in main memory:",
    type(to_host(logits)).__module__,
)

# %%
# What does *not* work is as telling. The two kinds of array never mix by themselves: ``cupy_array +
# numpy_array`` is an error, and so is ``numpy.asarray(cupy_array)``. That is a kindness: a silent
# copy at every step would cost more than the step.
#
# And three things that NumPy lets you forget:
#
# - a sum is a 0-d array that *stays on the GPU*; ``float(loss)`` waits for all work so far and
#   copies one number down,
# - there is no loop over elements that is not thousands of times too slow,
# - the GPU works on while Python goes on. A clock that is stopped without ``synchronize`` measures
#   how fast Python can give orders.

a = transfer(np.random.default_rng(0).standard_normal((1500, 1500), dtype=np.float32))
b = (
    a @ a
)  # the first product of all is slower: libraries are loaded, and on a GPU kernels are compiled
for wait in (False, True):
    synchronize(a)
    started = time.perf_counter()
    for _ in range(3):
        b = a @ a
    if wait:
        synchronize(b)
    seconds = (time.perf_counter() - started) / 3
    speed = 2 * 1500**3 / seconds / 1e12
    how = "waited for" if wait else "not waited for"
    print(f"one product of 1500 x 1500, {how}: {1e3 * seconds:.2f} ms, {speed:.2f} TFLOP/s")

# %%
# On a CPU the two lines agree, apart from chance. On a GPU the first is a fiction. The benchmark
# (``python -m benchmarks.step --device gpu``) therefore warms up and measures between two CUDA
# events.
#
# 2. What costs: the way up
# -------------------------
#
# A large GPU reads its own memory at 1 to 4 TB/s, and main memory at about 25 GB/s, the speed of
# the bus (PCIe 4): at least forty times slower. So: what does not change stays there. The images of
# MNIST and MNIST-M are 282 MB as bytes, 1.1 GB as float32. They go up once, as bytes; each batch is
# drawn *there* and becomes float32 there. If they do not fit, each batch goes up, again as bytes.
#
# Let us count what goes up in a step, by looking over the shoulder of ``transfer``.

images = np.random.default_rng(3).integers(0, 256, (600, 28, 28, 3), dtype=np.uint8)
sent = []


def counted(array):
    """``transfer``, with a note of the bytes it was asked to move."""
    if isinstance(array, np.ndarray):
        sent.append(array.nbytes)
    return transfer(array)


def centred(to):
    """A function that makes float32 of a batch of bytes, for the device of ``to``."""
    mean = to(np.full(3, 128, np.float32))
    return lambda x: normalize(x, mean)


batches = Batches(
    images, size=64, rng=np.random.default_rng(4), transfer=counted, prepare=centred(transfer)
)
(batch,) = next(batches)
print(f"a batch of 64: {sum(sent):,} bytes up, {batch.nbytes:,} bytes once it is float32")
if transfer is not to_device:
    print("(No GPU here: nothing really moved.)")

# %%
# 3. What costs: many small kernels
# ---------------------------------
#
# Each operation on a GPU array launches a kernel: a few microseconds, however little there is to
# do. Blobs' arrays hold 16 x 15 numbers; a CPU is done with one of them in a microsecond. On a GPU
# that network can only be slower. A convolution over 64 images is another matter: a few launches,
# and in tf-dann's second one (5x5, from 32 to 48 channels of 14x14) half a billion multiplications.
#
# Here is the same network at growing batch sizes. On a CPU time grows with the batch almost from
# the start; on a GPU it stays level as long as launching is what takes the time.


def seconds_of_a_step(n, hidden=256, repeat=20):
    """Forward, backward and update of a network of two Dense layers."""
    rng = np.random.default_rng(0)
    net = Sequential([Dense(100, hidden, rng=rng), ReLU(), Dense(hidden, 10, rng=rng)]).convert(
        transfer
    )
    optimizer = SGD(net, 0.01, momentum=0.9)
    x, labels = (
        transfer(rng.standard_normal((n, 100), dtype=np.float32)),
        transfer(rng.integers(0, 10, n)),
    )
    for i in range(repeat + 3):
        if i == 3:  # the first three warm up
            synchronize(x)
            started = time.perf_counter()
        _, dlogits = softmax_cross_entropy(net.forward(x, train=True), labels)
        net.parameter_gradients(dlogits)
        optimizer.step()
    synchronize(x)
    return (time.perf_counter() - started) / repeat


for n in (4, 32, 256, 2048):
    seconds = seconds_of_a_step(n)
    print(f"batch {n:>5}: {1e3 * seconds:7.3f} ms a step, {1e6 * seconds / n:8.2f} us an example")

# %%
# What helps: fewer, larger kernels. All parameters lie in one flat vector, so that an update is not
# a kernel for every layer. And a function of element-by-element operations can be *fused* into one
# kernel, which also reads and writes memory once instead of once for each operation.
# ``backend.fused`` does it through ``cupy.fuse``; on NumPy arrays the function is simply called.


@fused
def sigmoid_gradient(dy, y):
    return dy * y * (1 - y)  # three kernels; fused, one


y = transfer(np.array([0.1, 0.5, 0.9], np.float32))
gradient = sigmoid_gradient(transfer(np.ones(3, np.float32)), y)
print(gradient)
assert np.allclose(to_host(gradient), [0.09, 0.25, 0.09])

# %%
# 4. Do both devices compute the same?
# ------------------------------------
#
# Weights, dropout masks and the order of the examples are drawn in main memory by the seeded
# generator, then moved. So one seed gives the same start on both, and they drift apart only by
# rounding: float32 sums taken in another order. Without a GPU this cell compares the CPU with
# itself.


def losses(to):
    """The label losses of 20 steps of DANN on a small set of digits."""
    rng = np.random.default_rng(5)
    dann = recipes.tf_dann(0).convert(to)
    optimizer = SGD(dann.networks, 0.01, momentum=0.9)
    labels = rng.integers(0, 10, len(images))
    source = Batches(to(images), to(labels), size=8, rng=rng, prepare=centred(to))
    target = Batches(to(images), size=8, rng=rng, prepare=centred(to))
    found = []
    for _ in range(20):
        x_source, y_source = next(source)
        (x_target,) = next(target)
        found.append(dann.compute_gradients(x_source, y_source, x_target, 0.3).label)
        optimizer.step()
    return np.array(
        [float(to_host(loss)) for loss in found]
    )  # down all at once, after the last step


on_cpu, on_device = losses(to_host), losses(transfer)
print("largest relative difference over 20 steps:", np.abs(on_device / on_cpu - 1).max())
assert np.allclose(on_device, on_cpu, rtol=1e-3)

# %%
# Check yourself
# --------------
#
# *Exercise.* The network for SVHN, photographs of house numbers, trains on 64 + 64 images of
# 32x32x3. (a) How many bytes go up in a step if the data set stays in main memory, as bytes, each
# source image with an 8-byte label? (b) And if a colleague converts the data set to float32 first?
# (c) And if it lives on the GPU? Write your three numbers down and run the cell.

your_answer = None  # (a, b, c)


def bytes_up(x, labels, resident):
    """Counts the bytes that one step's two batches send up."""
    sent.clear()
    x, labels = (transfer(x), transfer(labels)) if resident else (x, labels)
    upward = None if resident else counted
    rng = np.random.default_rng(0)
    next(Batches(x, labels, size=64, rng=rng, transfer=upward))
    next(Batches(x, size=64, rng=rng, transfer=upward))
    return sum(sent)


def check(answer):
    """Compare with what is counted."""
    svhn, digits = np.zeros((200, 32, 32, 3), np.uint8), np.zeros(200, np.int64)
    widened = svhn.astype(np.float32)
    right = (
        bytes_up(svhn, digits, False),
        bytes_up(widened, digits, False),
        bytes_up(svhn, digits, True),
    )
    hint = "count images of both domains, their bytes a pixel, and the labels"
    for letter, said, true in zip("abc", answer, right):
        assert said == true, f"({letter}) is not {said} bytes: {hint}"
    print("All three are right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.*

pixels = 128 * 32 * 32 * 3
labels_up = 64 * 8  # the source's alone: DANN has no use for the target's
check((pixels + labels_up, 4 * pixels + labels_up, 0))

# %%
# (b) is four times the pixels for no gain, since the GPU makes float32 of bytes faster than the bus
# can carry them. (c) is none at all: the order of the examples went up once, when the epoch began.
