"""Mistakes in putting a DANN together that would train, and mean something else.

A domain head that ends in a Sigmoid gives probabilities where logits are taken, so it
answers "target" for everything, which reads as perfect adaptation. A second reversal
turns the gradient back. A layer in two places remembers one of them.
"""

from collections.abc import Mapping

from minidann.nn.activations import ReLU, Sigmoid
from minidann.nn.batchnorm import BatchNorm
from minidann.nn.dense import Dense
from minidann.nn.dropout import Dropout
from minidann.nn.layer import Layer, refuse_twice
from minidann.nn.reversal import GradientReversal
from minidann.runtime.checks import one_line

KEEPING = (ReLU, Sigmoid, Dropout, BatchNorm)  # as many units come out as go in


def check_wiring(networks: Mapping[str, Layer]) -> None:
    """Refuse networks that make no DANN.

    Parameters
    ----------
    networks : dict of str to Layer
        ``features``, ``label_head`` and ``domain_head``.

    Raises
    ------
    ValueError
        With the network, the layer and the remedy.
    """
    for name, network in networks.items():
        if not isinstance(network, Layer):
            raise ValueError(
                f"{name} is {network!r}; give it as a Sequential of layers"
            )
        for leaf in network.leaves():
            _check_leaf(name, leaf)
    refuse_twice(leaf for network in networks.values() for leaf in network.leaves())
    for name in ("label_head", "domain_head"):
        _check_head(name, list(networks[name].leaves()))


def _check_leaf(name: str, leaf: Layer) -> None:
    if isinstance(leaf, GradientReversal):
        raise ValueError(
            f"{name} holds a {one_line(leaf)}, but DANN reverses the gradient itself, "
            "in front of the domain head; leave yours out"
        )
    if isinstance(leaf, BatchNorm) and leaf.domains > 1 and leaf.domains % 2:
        raise ValueError(
            f"{name} holds {one_line(leaf)}, but a batch of DANN has two domains; give "
            "domains=2"
        )


def _check_head(name: str, leaves: list[Layer]) -> None:
    if name == "domain_head":
        check_domain_units(units_of(leaves))
    if leaves and isinstance(leaves[-1], ReLU | Sigmoid):
        raise ValueError(
            f"{name} ends in {one_line(leaves[-1])}, but its output must be logits, "
            "which may be any number; leave that layer out"
        )


def check_domain_units(units: int | None) -> None:
    """Refuse a domain head of other than one or two units; None is not known."""
    if units not in (None, 1, 2):
        raise ValueError(
            f"the domain head has {units} units; give two, for source and target, or "
            "one"
        )


def units_of(leaves: list[Layer]) -> int | None:
    """How many units the last Dense layer has; None if another layer changes that."""
    for leaf in reversed(leaves):
        if isinstance(leaf, Dense):
            return leaf.params["W"].shape[1]
        if not isinstance(leaf, KEEPING):
            return None
    return None


def check_boundary(network: Layer, n_source: int, n_target: int) -> None:
    """Refuse a batch whose domains a BatchNorm by domain would cut at another place.

    The layer sees only how many examples there are.

    Raises
    ------
    ValueError
        With the layer.
    """
    for leaf in network.leaves():
        if isinstance(leaf, BatchNorm) and leaf.domains > 1:
            raise ValueError(
                f"{one_line(leaf)} takes a batch for equal halves, but there are "
                f"{n_source} source and {n_target} target examples; use as many of each"
            )
